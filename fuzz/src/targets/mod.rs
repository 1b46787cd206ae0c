//! The targets: each reads one thing that somebody else wrote, and says what must hold of it.

pub mod catalogue;
pub mod config;
pub mod csv;
pub mod events_lane;
pub mod group;
pub mod image;
pub mod json;
pub mod key;
pub mod packed;
pub mod record;
pub mod request;
pub mod requests_lane;
pub mod seal;
pub mod table_file;
pub mod wire;
