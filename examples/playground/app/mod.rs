//! What the playground is made of; the example and its tests share it.

mod filter;
pub mod network;
pub mod server;
