//! Processes with a part in a row. They obey lines of JSON on standard input, and answer each with one.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;
use serde_json::{Value as Json, json};

use crate::{context, row};

/// What a process does.
pub trait Part {
    /// Carries out an order.
    fn obey(&mut self, order: &Json) -> Result<Json>;
}

impl<F: FnMut(&Json) -> Result<Json>> Part for F {
    fn obey(&mut self, order: &Json) -> Result<Json> {
        self(order)
    }
}

/// Makes a part from what it is told.
pub type Make = fn(&Json) -> Result<Box<dyn Part>>;

/// Another process of this program; ended when dropped.
pub struct Worker {
    name: String,
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Worker {
    /// Starts it on a core, and waits until it is ready.
    pub fn start(part: &str, told: &Json, core: Option<usize>) -> Result<Self> {
        let name = format!("{part} {told}");
        let whole = json!({"core": core, "told": told});
        let own = std::env::current_exe().context("this program's path")?;
        let mut child = Command::new(own)
            .args(["part", part, &whole.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| name.clone())?;
        let orders = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().context("it was piped")?);
        let mut this = Self { name, child, orders, answers };
        this.hear()?;
        Ok(this)
    }

    /// Gives an order, without waiting for the answer.
    pub fn tell(&mut self, order: &Json) -> Result<()> {
        let orders = self.orders.as_mut().context("it was told to end")?;
        writeln!(orders, "{order}").with_context(|| self.name.clone())
    }

    /// Waits for the answer.
    pub fn hear(&mut self) -> Result<Json> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let answer: Json = serde_json::from_str(&line)
            .with_context(|| format!("{} ended early: {line:?}", self.name))?;
        if let Some(error) = answer.get("error") {
            bail!("{}: {error}", self.name);
        }
        Ok(answer)
    }

    /// Gives an order and waits for the answer.
    pub fn ask(&mut self, order: &Json) -> Result<Json> {
        self.tell(order)?;
        self.hear()
    }

    /// Ends an order that has no end of its own; its answer.
    pub fn stop(&mut self) -> Result<Json> {
        self.tell(&json!({"stop": true}))?;
        let answer = self.hear()?;
        self.hear()?;
        Ok(answer)
    }

    /// A number of the answer to an order.
    pub fn number(&mut self, order: &Json, what: &str) -> Result<f64> {
        let answer = self.ask(order)?;
        answer[what].as_f64().with_context(|| format!("{}: no {what} in {answer}", self.name))
    }

    /// Numbers of the answer to an order.
    pub fn numbers(&mut self, order: &Json, what: &str) -> Result<Vec<f64>> {
        let mut answer = self.ask(order)?;
        serde_json::from_value(answer[what].take())
            .with_context(|| format!("{}: {what}", self.name))
    }

    /// Kills it, and waits until it has ended.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.orders.take());
        // It ends by itself, and clears its shared memory away, unless it is in the middle of an order: then
        // it does not look at its input.
        for _ in 0..100 {
            if self.child.try_wait().is_ok_and(|ended| ended.is_some()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether there is another order: for who carries one out until then.
pub fn is_told() -> Result<bool> {
    let input = std::io::stdin();
    let mut ready = [PollFd::new(&input, PollFlags::IN)];
    Ok(poll(&mut ready, Some(&Timespec::default()))? > 0)
}

/// Plays a part until there are no more orders.
pub fn obey(name: &str, whole: &str) -> Result<()> {
    // Who gives the orders may be killed.
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    match play(name, whole) {
        Ok(()) => Ok(()),
        Err(error) => {
            println!("{}", json!({"error": format!("{error:#}")}));
            Err(error)
        }
    }
}

fn play(name: &str, whole: &str) -> Result<()> {
    let whole: Json = serde_json::from_str(whole)?;
    context::pin(whole["core"].as_u64().and_then(|core| usize::try_from(core).ok()))?;
    let (_, make) =
        row::parts().find(|(n, _)| *n == name).with_context(|| format!("no part {name}"))?;
    let mut part = make(&whole["told"])?;
    println!("{}", json!({"ready": true}));
    for line in std::io::stdin().lock().lines() {
        let order: Json = serde_json::from_str(&line?)?;
        println!("{}", part.obey(&order)?);
    }
    Ok(())
}
