//! The journal's native protocol: one datagram an entry.
