//! Open vSwitch: the ports that its database lists.
mod framing;
mod model;
mod rows;
