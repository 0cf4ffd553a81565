//! The constant filter program.
