//! Open vSwitch: the ports that its database lists.
