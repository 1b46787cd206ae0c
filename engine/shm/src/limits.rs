//! Every stated limit of an instance, in one place. The README repeats this table; the tests go to
//! each edge.

/// Most tables in one instance.
pub const TABLES: usize = 1_024;
/// Most namespaces in one instance, `main` not counted: each is a database of SQLite's, of which a
/// connection can have no more without a slower way to tell them apart.
pub const NAMESPACES: usize = 30;
/// Longest name of a namespace, in bytes.
pub const NAMESPACE_BYTES: usize = 63;
/// Most columns in one table, the hidden rowid not counted.
pub const COLUMNS: usize = 256;
/// Most times that the columns of one table can be changed: stored rows may be of any of its shapes,
/// so all of them are kept. After that its rows go into a new table.
pub const PAST_SHAPES: usize = 1_000;
/// Largest catalogue, in bytes of its archive: all names, SQL texts and past shapes. Every change of
/// schema writes it anew.
pub const CATALOGUE_BYTES: usize = 16 << 20;
/// Most columns in one key.
pub const KEY_COLUMNS: usize = 16;
/// Longest key, in bytes of its encoding (see [`crate::key`]).
pub const KEY_BYTES: usize = 1_024;
/// Longest TEXT or BLOB value, in bytes.
pub const VALUE_BYTES: usize = 16 << 20;
/// Largest row image, in bytes.
pub const ROW_BYTES: usize = 32 << 20;
/// Largest request record in the requests lane, in bytes of payload. A larger transaction is
/// refused before it is submitted.
pub const REQUEST_BYTES: usize = 64 << 20;
/// Most bytes that one transaction may change, summed over the records that it makes.
pub const TRANSACTION_BYTES: usize = 256 << 20;
/// Most rows that one transaction may change.
pub const TRANSACTION_ROWS: usize = 4_000_000;
/// Most control connections at one time.
pub const CLIENTS: usize = 1_024;
/// Most requests lanes at one time (one for each uid, PID namespace and set of rights that writes).
pub const LANES: usize = 64;
/// Longest name of a table or column, in bytes.
pub const NAME_BYTES: usize = 255;
/// Longest SQL text, in bytes.
pub const SQL_BYTES: usize = 1 << 20;
/// Longest path of a Unix socket, in bytes, the terminating zero not counted (`sun_path`).
pub const SOCKET_PATH_BYTES: usize = 107;
