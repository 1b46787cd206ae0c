//! iceoryx2: a blackboard, whose readers have a handle for each entry and so look nothing up.

use anyhow::{Context as _, Result, anyhow, bail};
use iceoryx2::port::reader::EntryHandle;
use iceoryx2::prelude::*;
use iceoryx2::service::port_factory::blackboard::PortFactory;

use super::Shape;

type Board = PortFactory<ipc::Service, u64>;

/// A blackboard that is there while this is.
pub struct Server {
    _node: Node<ipc::Service>,
    _board: Board,
    name: String,
}

impl Server {
    /// Makes one with an entry for each row.
    pub fn start(shape: &Shape) -> Result<Self> {
        quiet();
        let node = NodeBuilder::new().create::<ipc::Service>().map_err(|e| anyhow!("{e:?}"))?;
        let name = format!("shmirror-bench/{}/{}", std::process::id(), shape.rows);
        let mut creator = node
            .service_builder(&name.as_str().try_into().map_err(|e| anyhow!("{e:?}"))?)
            .blackboard_creator::<u64>();
        for key in 0..shape.rows {
            creator = match shape.bytes {
                8 => creator.add::<u64>(key, Shape::sum(key)),
                64 => creator.add::<[u64; 8]>(key, shape.words(key).as_slice().try_into()?),
                1024 => creator.add::<[u64; 128]>(key, shape.words(key).as_slice().try_into()?),
                16384 => creator.add::<[u64; 2048]>(key, shape.words(key).as_slice().try_into()?),
                other => bail!("entries of {other} bytes"),
            };
        }
        let board = creator.create().map_err(|e| anyhow!("{e:?}"))?;
        Ok(Self { _node: node, _board: board, name })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Nothing on the terminal but what went wrong.
pub fn quiet() {
    set_log_level(LogLevel::Error);
}

/// Handles of some entries. The rest is what they need for as long as they are there.
pub struct Handles<T: Copy + ZeroCopySend + std::fmt::Debug + 'static> {
    handles: Vec<EntryHandle<ipc::Service, u64, T>>,
    _board: Board,
    _node: Node<ipc::Service>,
}

fn handles<T>(name: &str, keys: u64) -> Result<Handles<T>>
where
    T: Copy + ZeroCopySend + std::fmt::Debug + 'static,
{
    quiet();
    let node = NodeBuilder::new().create::<ipc::Service>().map_err(|e| anyhow!("{e:?}"))?;
    let board = node
        .service_builder(&name.try_into().map_err(|e| anyhow!("{e:?}"))?)
        .blackboard_opener::<u64>()
        .open()
        .map_err(|e| anyhow!("{e:?}"))?;
    let reader = board.reader_builder().create().map_err(|e| anyhow!("{e:?}"))?;
    let handles = (0..keys)
        .map(|key| reader.entry::<T>(&key).map_err(|e| anyhow!("entry {key}: {e:?}")))
        .collect::<Result<Vec<_>>>()?;
    Ok(Handles { handles, _board: board, _node: node })
}

/// Reads entries of `WORDS` words by their handles.
pub fn reader<const WORDS: usize>(
    name: &str,
    rows: u64,
) -> Result<impl FnMut(u64) -> Result<u64> + use<WORDS>> {
    let all = handles::<[u64; WORDS]>(name, rows)?;
    Ok(move |key: u64| {
        let row = *all.handles.get(key as usize).context("no entry")?.get();
        Ok(std::hint::black_box(&row)[1])
    })
}

/// Reads an entry of 8 bytes by its handle.
pub fn cell(name: &str) -> Result<impl FnMut(u64) -> Result<u64> + use<>> {
    let all = handles::<u64>(name, 1)?;
    Ok(move |_| Ok(*all.handles.first().context("no entry")?.get()))
}
