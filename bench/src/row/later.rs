//! What a server puts off: durable is durable, but there may be work left that others are not to pay for.

use std::time::Duration;

use anyhow::Result;

use crate::context::processor_time;

/// What a server does for a round behind its end, when all is durable.
pub struct Later {
    server: Option<u32>,
    /// How long the last round took, and what processor time the server had used at its end.
    last: Option<(Duration, Duration)>,
}

impl Later {
    /// Of this process, if there is one.
    pub fn new(server: Option<u32>) -> Self {
        Self { server, last: None }
    }

    /// Processor time used since the last round's end, as part of how long that took.
    pub fn part(&self) -> Result<Option<f64>> {
        let Some((server, (took, used))) = self.server.zip(self.last) else { return Ok(None) };
        let more = processor_time(server)?.saturating_sub(used);
        Ok(Some(more.as_secs_f64() / took.as_secs_f64()))
    }

    /// A round ends, which took so long. What the server goes on with at once is waited for, as the next
    /// system's turn is not to pay for it.
    pub fn ends(&mut self, took: Duration) -> Result<()> {
        const LOOK: Duration = Duration::from_millis(5);
        let Some(server) = self.server else { return Ok(()) };
        let mut used = processor_time(server)?;
        self.last = Some((took, used));
        for _ in 0..200 {
            std::thread::sleep(LOOK);
            let now = processor_time(server)?;
            if now - std::mem::replace(&mut used, now) < LOOK / 10 {
                break;
            }
        }
        Ok(())
    }
}
