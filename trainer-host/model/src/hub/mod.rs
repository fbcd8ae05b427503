//! Published networks: where they are found, and the folders that they are published as.

mod folder;
mod locate;
#[cfg(test)]
pub(crate) mod referee;

pub use folder::{Content, FolderError, Layout};
pub use locate::{HubError, Located, cached, is_hub_name, locate};
