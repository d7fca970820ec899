//! Pages of earlier sequences, found again by the tokens that they hold.

use super::TokenKey;
use smolvlm_kernels::{PAGE_TOKENS, PageId, PageReferences};
use std::collections::HashMap;

/// A tree of full pages: each node is a page, reached by the tokens of all pages from the root. It holds a reference to
/// its pages, which are released when memory is needed, least recently used first.
#[derive(Debug, Default)]
pub(super) struct PrefixTree {
    nodes: HashMap<NodeId, Node>,
    children: HashMap<(NodeId, Tokens), NodeId>,
    /// Number of nodes created so far; node 0 is the root.
    created: NodeId,
    /// Number of lookups and insertions so far.
    clock: u64,
}

type NodeId = u64;
type Tokens = Box<[TokenKey]>;

#[derive(Debug)]
struct Node {
    parent: NodeId,
    tokens: Tokens,
    page: PageId,
    used: u64,
    children: usize,
}

const ROOT: NodeId = 0;

impl PrefixTree {
    /// Number of pages.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The pages of the longest known prefix of these tokens.
    pub(super) fn find(&mut self, keys: &[TokenKey]) -> Vec<PageId> {
        self.clock += 1;
        let (mut parent, mut pages) = (ROOT, Vec::new());
        for tokens in keys.chunks_exact(PAGE_TOKENS) {
            let Some(&child) = self.children.get(&(parent, tokens.into())) else { break };
            let Some(node) = self.nodes.get_mut(&child) else { break };
            node.used = self.clock;
            pages.push(node.page);
            parent = child;
        }
        pages
    }

    /// Adds the full pages of a sequence, which stay allocated. Pages that are known already are not added.
    pub(super) fn insert(&mut self, keys: &[TokenKey], table: &[PageId], pages: &mut PageReferences) {
        self.clock += 1;
        let mut parent = ROOT;
        for (tokens, &page) in keys.chunks_exact(PAGE_TOKENS).zip(table) {
            let place = (parent, Tokens::from(tokens));
            if let Some(&child) = self.children.get(&place) {
                if let Some(node) = self.nodes.get_mut(&child) {
                    node.used = self.clock;
                }
                parent = child;
                continue;
            }
            pages.retain(page);
            self.created += 1;
            if let Some(node) = self.nodes.get_mut(&parent) {
                node.children += 1;
            }
            let node = Node { parent, tokens: place.1.clone(), page, used: self.clock, children: 0 };
            self.nodes.insert(self.created, node);
            self.children.insert(place, self.created);
            parent = self.created;
        }
    }

    /// Releases the least recently used page that no sequence uses and no other page follows; whether there was one.
    pub(super) fn evict(&mut self, pages: &mut PageReferences) -> bool {
        let unused = |(_, node): &(&NodeId, &Node)| node.children == 0 && !pages.is_shared(node.page);
        let oldest = self.nodes.iter().filter(unused).min_by_key(|(_, node)| node.used).map(|(&id, _)| id);
        let Some(node) = oldest.and_then(|id| self.nodes.remove(&id)) else { return false };
        if let Some(parent) = self.nodes.get_mut(&node.parent) {
            parent.children -= 1;
        }
        self.children.remove(&(node.parent, node.tokens));
        pages.release(node.page);
        true
    }
}
