//! leasehold: DHCPv4, DHCPv6 and router advertisements for virtual machines, by VM identity.
//!
//! ARCHITECTURE.md draws the picture. The modules from [`time`] to [`responder`] are pure: they
//! name no socket, file, clock or random source. The rest is the shell around them.

// The pure core.
pub mod arrival;
pub mod binding;
pub mod dhcpv4;
pub mod dhcpv6;
pub mod lease;
pub mod nd;
pub mod network;
pub mod outcome;
pub mod probe;
pub mod reply;
pub mod responder;
pub mod time;
pub mod wire;

// The shell.
pub mod broker;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod daemon;
pub mod discovery;
pub mod net;
pub mod replay;
pub mod sandbox;
pub mod store;
pub mod telemetry;
