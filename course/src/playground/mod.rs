//! A page on which one draws a digit and sees what a network makes of it, and its server.

mod filter;
pub mod network;
pub mod server;
