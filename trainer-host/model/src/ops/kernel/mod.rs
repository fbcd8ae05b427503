//! The pieces that operations on the CPU are written out of: rows and memory for them, products of matrices, arithmetic on vectors, and the
//! record that autodiff keeps of one.

pub mod lanes;
pub mod product;
pub mod record;
pub mod rows;
