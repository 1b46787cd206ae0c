//! iceoryx2: a blackboard, whose readers have a handle for each entry and so look nothing up; publish and
//! subscribe; events.

use anyhow::{Context as _, Result, anyhow, bail};
use iceoryx2::port::reader::EntryHandle;
use iceoryx2::port::writer::{EntryHandleMut, Writer};
use iceoryx2::prelude::*;
use iceoryx2::service::port_factory::blackboard::PortFactory;

use super::Shape;

type Board = PortFactory<ipc::Service, u64>;

/// A blackboard that is there while this is.
pub struct Server {
    _node: Node<ipc::Service>,
    board: Board,
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
            .blackboard_creator::<u64>()
            .max_readers(16)
            .max_nodes(32);
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
        Ok(Self { _node: node, board, name })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Handles to write all entries, of `WORDS` words.
    pub fn writer<const WORDS: usize>(&self, rows: u64) -> Result<BoardWriter<WORDS>> {
        let writer = self.board.writer_builder().create().map_err(|e| anyhow!("{e:?}"))?;
        let entry = |key| writer.entry(&key).map_err(|e| anyhow!("entry {key}: {e:?}"));
        let entries = (0..rows).map(entry).collect::<Result<_>>()?;
        Ok(BoardWriter { entries, _writer: writer })
    }
}

/// Writes entries by their handles.
pub struct BoardWriter<const WORDS: usize> {
    entries: Vec<EntryHandleMut<ipc::Service, u64, [u64; WORDS]>>,
    _writer: Writer<ipc::Service, u64>,
}

impl<const WORDS: usize> BoardWriter<WORDS> {
    /// Writes one.
    pub fn write(&self, key: u64, words: [u64; WORDS]) -> Result<()> {
        self.entries.get(key as usize).context("no entry")?.update_with_copy(words);
        Ok(())
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

/// Reads whole entries of `WORDS` words by their handles.
pub fn rows<const WORDS: usize>(
    name: &str,
    rows: u64,
) -> Result<impl FnMut(u64, &mut [u64; WORDS]) -> Result<()> + use<WORDS>> {
    let all = handles::<[u64; WORDS]>(name, rows)?;
    Ok(move |key: u64, words: &mut [u64; WORDS]| {
        *words = *all.handles.get(key as usize).context("no entry")?.get();
        Ok(())
    })
}

/// Sixty-four bytes that are published.
pub type Payload = [u64; 8];

type Channel =
    iceoryx2::service::port_factory::publish_subscribe::PortFactory<ipc::Service, Payload, ()>;

/// A service that publishes [`Payload`]s; whoever comes first makes it. None is lost: a publisher waits for room.
pub struct Topic {
    channel: Channel,
    _node: Node<ipc::Service>,
}

impl Topic {
    /// The one with this name.
    pub fn open(name: &str, subscribers: usize) -> Result<Self> {
        quiet();
        let node = NodeBuilder::new().create::<ipc::Service>().map_err(|e| anyhow!("{e:?}"))?;
        let channel = node
            .service_builder(&name.try_into().map_err(|e| anyhow!("{e:?}"))?)
            .publish_subscribe::<Payload>()
            .enable_safe_overflow(false)
            .subscriber_max_buffer_size(4096)
            .max_subscribers(subscribers)
            .max_publishers(1)
            .max_nodes(subscribers + 2)
            .open_or_create()
            .map_err(|e| anyhow!("{e:?}"))?;
        Ok(Self { channel, _node: node })
    }

    /// A subscriber.
    pub fn subscriber(self) -> Result<Subscriber> {
        let port = self.channel.subscriber_builder().buffer_size(4096).create();
        Ok(Subscriber { port: port.map_err(|e| anyhow!("{e:?}"))?, _topic: self })
    }

    /// The publisher.
    pub fn publisher(self) -> Result<Publisher> {
        let builder = self.channel.publisher_builder();
        let port =
            builder.backpressure_strategy(BackpressureStrategy::RetryUntilDelivered).create();
        Ok(Publisher { port: port.map_err(|e| anyhow!("{e:?}"))?, _topic: self })
    }
}

/// Receives.
pub struct Subscriber {
    port: iceoryx2::port::subscriber::Subscriber<ipc::Service, Payload, ()>,
    _topic: Topic,
}

impl Subscriber {
    /// What came, if something did.
    pub fn receive(&self) -> Result<Option<Payload>> {
        let sample = self.port.receive().map_err(|e| anyhow!("{e:?}"))?;
        Ok(sample.map(|sample| *sample.payload()))
    }
}

/// Publishes.
pub struct Publisher {
    port: iceoryx2::port::publisher::Publisher<ipc::Service, Payload, ()>,
    _topic: Topic,
}

impl Publisher {
    /// Sends to all subscribers, waiting for who has no room.
    pub fn send(&self, payload: Payload) -> Result<()> {
        self.port.send_copy(payload).map_err(|e| anyhow!("{e:?}"))?;
        Ok(())
    }
}

type Bell = iceoryx2::service::port_factory::event::PortFactory<ipc::Service>;

fn bell(name: &str) -> Result<(Node<ipc::Service>, Bell)> {
    quiet();
    let node = NodeBuilder::new().create::<ipc::Service>().map_err(|e| anyhow!("{e:?}"))?;
    let bell = node
        .service_builder(&name.try_into().map_err(|e| anyhow!("{e:?}"))?)
        .event()
        .open_or_create()
        .map_err(|e| anyhow!("{e:?}"))?;
    Ok((node, bell))
}

/// Sleeps until it is notified.
pub struct Listener {
    port: iceoryx2::port::listener::Listener<ipc::Service>,
    _bell: (Node<ipc::Service>, Bell),
}

impl Listener {
    /// Of the event service with this name.
    pub fn open(name: &str) -> Result<Self> {
        let bell = bell(name)?;
        let port = bell.1.listener_builder().create().map_err(|e| anyhow!("{e:?}"))?;
        Ok(Self { port, _bell: bell })
    }

    /// Until there was a notification.
    pub fn wait(&self) -> Result<()> {
        while self.port.blocking_wait(|_| {}).map_err(|e| anyhow!("{e:?}"))? == 0 {}
        Ok(())
    }
}

/// Notifies.
pub struct Notifier {
    port: iceoryx2::port::notifier::Notifier<ipc::Service>,
    _bell: (Node<ipc::Service>, Bell),
}

impl Notifier {
    /// Of the event service with this name.
    pub fn open(name: &str) -> Result<Self> {
        let bell = bell(name)?;
        let port = bell.1.notifier_builder().create().map_err(|e| anyhow!("{e:?}"))?;
        Ok(Self { port, _bell: bell })
    }

    /// Wakes the listener.
    pub fn notify(&self) -> Result<()> {
        let heard = self.port.notify().map_err(|e| anyhow!("{e:?}"))?;
        anyhow::ensure!(heard == 1, "{heard} listeners");
        Ok(())
    }
}
