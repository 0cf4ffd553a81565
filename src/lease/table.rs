//! placeholder
#[derive(Debug)]
pub struct Assignment;
#[derive(Debug)]
pub struct LeaseTable;
#[derive(Debug)]
pub struct NoAddress;
