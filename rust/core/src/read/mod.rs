//! Reads: from a selection to elements in a buffer.
//!
//! 1. *Plan* ([`Region::split`](crate::plan::Region::split)) splits the region at chunk borders.
//! 2. *Resolve* (`resolve`) opens the object of each chunk and replaces a shard by the inner chunks that are wanted,
//!    level by level. A shard that is compressed as a whole is decoded to memory first. The result is a flat list of
//!    [`Leaf`]s over all chunks.
//! 3. *Fetch* (`jobs`) joins leaves that are close together in one object, and decides how each is read: as a [`Job`].
//! 4. *Decode and place* (`execute`, `decode`) runs the jobs on all threads, straight into the output if possible.
//!
//! `batch` runs these steps, `remote` runs them for remote stores, `explain` adds up the costs of the jobs.
//!
//! [`Leaf`]: leaf::Leaf
//! [`Job`]: jobs::Job

mod batch;
mod cuts;
mod decode;
mod execute;
mod explain;
mod index;
mod jobs;
mod leaf;
mod open;
mod pieces;
mod reader;
mod remote;
mod resolve;
mod source;
mod stored;
mod verify;

pub use explain::Explanation;
pub(crate) use index::MISSING;
pub(crate) use open::Need;
pub(crate) use reader::{Caching, Counts, Reader};
pub(crate) use source::{Chains, EachChain, Source};
pub(crate) use stored::Stored;
