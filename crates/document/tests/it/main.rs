//! The document service through gRPC, on real engines. One module per theme; numbered cases are those of the design.
mod creation;
mod durability;
mod edits;
mod files;
mod fixture;
mod folders;
mod groups;
mod index;
mod isolation;
mod paging;
mod principals;
mod revisions;
mod sharing;
mod trash;
