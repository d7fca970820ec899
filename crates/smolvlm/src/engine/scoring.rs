//! Log-probabilities of given answers to questions that share a prompt.
//!
//! The answers to a question form a tree of tokens. Each token that others follow runs once, in sequences that share
//! the pages of everything before it; the last tokens of answers never run.

use crate::Error;
use smolvlm_generate::token_logprobs;
use smolvlm_model::{KeepLogits, SequenceId, Sequences, StepInput};
use std::collections::BTreeMap;

/// A question after the shared prompt, and its possible answers.
pub(crate) struct TokenizedQuestion {
    /// The tokens after the shared prompt.
    pub(crate) question: Vec<u32>,
    /// The tokens of each answer, none of them empty.
    pub(crate) answers: Vec<Vec<u32>>,
}

/// The scoring of all answers to all questions of a request.
pub(crate) struct Scoring {
    nodes: Vec<Node>,
    /// The node of each question.
    questions: Vec<usize>,
    /// The node of the last token of each answer, for all questions.
    ends: Vec<usize>,
    /// Maximum number of sequences that run or wait besides the prompt's, if possible.
    max_sequences: usize,
    /// Sequences that may be needed in addition.
    depth: usize,
    prompt: Option<SequenceId>,
    /// Branches to run, the next one last: depth first, so that few sequences wait for their branches.
    pending: Vec<Branch>,
    running: Vec<Branch>,
    /// The number of pending branches of each sequence.
    shares: BTreeMap<SequenceId, usize>,
    is_interrupted: bool,
}

/// A node of the tree.
struct Node {
    /// A token of an answer, or all tokens of a question.
    tokens: Vec<u32>,
    children: Vec<usize>,
    /// The log-probability of the answer up to this token.
    logprob: f64,
}

/// A path of nodes without branches, run as one sequence.
struct Branch {
    /// The sequence to continue; that of the branch itself once it has begun.
    sequence: SequenceId,
    nodes: Vec<usize>,
    tokens: Vec<u32>,
    /// Number of tokens that have run.
    done: usize,
    /// Number of tokens in the current step.
    step: usize,
}

impl Scoring {
    /// Prepares the scoring of answers with at most about `max_sequences` sequences at once.
    pub(crate) fn new(questions: Vec<TokenizedQuestion>, max_sequences: usize) -> Self {
        let mut scoring = Self {
            nodes: Vec::new(),
            questions: Vec::new(),
            ends: Vec::new(),
            max_sequences,
            depth: 0,
            prompt: None,
            pending: Vec::new(),
            running: Vec::new(),
            shares: BTreeMap::new(),
            is_interrupted: false,
        };
        for TokenizedQuestion { question, answers } in questions {
            let root = scoring.add(question);
            scoring.questions.push(root);
            for answer in answers {
                let end = answer.into_iter().fold(root, |node, token| scoring.child(node, token));
                scoring.ends.push(end);
            }
        }
        scoring.depth = scoring.depth();
        scoring
    }

    fn add(&mut self, tokens: Vec<u32>) -> usize {
        self.nodes.push(Node { tokens, children: Vec::new(), logprob: 0.0 });
        self.nodes.len() - 1
    }

    /// The node of a token after another one.
    fn child(&mut self, parent: usize, token: u32) -> usize {
        let children = self.nodes[parent].children.iter().copied();
        if let Some(found) = children.into_iter().find(|&child| self.nodes[child].tokens == [token]) {
            return found;
        }
        let child = self.add(vec![token]);
        self.nodes[parent].children.push(child);
        child
    }

    /// The children of a node that must run, because tokens follow them.
    fn inner_children(&self, node: usize) -> impl DoubleEndedIterator<Item = usize> {
        self.nodes[node].children.iter().copied().filter(|&child| !self.nodes[child].children.is_empty())
    }

    /// The maximum number of forks on the way to an answer.
    fn depth(&self) -> usize {
        let mut depths = vec![0; self.nodes.len()];
        // Children are added after their parents.
        for node in (0..self.nodes.len()).rev() {
            let deepest = self.inner_children(node).map(|child| depths[child]).max().unwrap_or(0);
            depths[node] = deepest + usize::from(self.inner_children(node).count() > 1);
        }
        depths.into_iter().max().unwrap_or(0)
    }

    /// Maximum number of sequences at once.
    pub(super) fn sequences(&self) -> usize {
        let inner = self.nodes.iter().filter(|node| !node.children.is_empty()).count();
        1 + inner.min(self.max_sequences.saturating_add(self.depth))
    }

    /// Upper bound of the tokens stored besides the prompt, in pages of `page` tokens: every inner node once, plus two
    /// pages per node for a copied and a partly filled page.
    pub(super) fn tokens(&self, page: usize) -> usize {
        let inner = self.nodes.iter().filter(|node| !node.children.is_empty());
        inner.map(|node| node.tokens.len() + 2 * page).sum()
    }

    /// Starts after the prompt, whose last logits these are.
    pub(super) fn begin(&mut self, prompt: SequenceId, logits: &[f32]) -> Result<(), Error> {
        self.prompt = Some(prompt);
        for question in self.questions.clone().into_iter().rev() {
            if self.nodes[question].tokens.is_empty() {
                score(&mut self.nodes, question, logits)?;
                self.branch_out(prompt, question);
            } else {
                self.branch(prompt, question);
            }
        }
        Ok(())
    }

    /// Adds the branches after a node, which the sequence ends with; returns their number.
    fn branch_out(&mut self, sequence: SequenceId, node: usize) -> usize {
        let children: Vec<usize> = self.inner_children(node).rev().collect();
        children.iter().for_each(|&child| self.branch(sequence, child));
        children.len()
    }

    fn branch(&mut self, sequence: SequenceId, first: usize) {
        let mut nodes = vec![first];
        let mut last = first;
        loop {
            let mut children = self.inner_children(last);
            let (Some(child), None) = (children.next(), children.next()) else { break };
            last = child;
            nodes.push(child);
        }
        let tokens = nodes.iter().flat_map(|&node| &self.nodes[node].tokens).copied().collect();
        self.pending.push(Branch { sequence, nodes, tokens, done: 0, step: 0 });
    }

    /// Selects what runs in the next step: about `budget` tokens.
    pub(super) fn schedule(&mut self, budget: usize, sequences: &mut Sequences) {
        let mut room = budget.max(1);
        while let Some(mut branch) = self.pending.pop() {
            let others = self.running.len() + self.shares.len();
            if !self.running.is_empty() && (room == 0 || others >= self.max_sequences) {
                self.pending.push(branch);
                break;
            }
            branch.sequence = self.take(branch.sequence, sequences);
            // The last step of a branch has all tokens whose logits are needed.
            let (rest, scored) = (branch.tokens.len() - branch.done, branch.nodes.len());
            branch.step = if rest <= room.max(scored) { rest } else { room.min(rest - scored) };
            room = room.saturating_sub(branch.step);
            self.running.push(branch);
        }
    }

    /// A sequence that starts with another one, for one of its pending branches. The last one takes it over.
    fn take(&mut self, sequence: SequenceId, sequences: &mut Sequences) -> SequenceId {
        match self.shares.get_mut(&sequence) {
            Some(1) => {
                self.shares.remove(&sequence);
                sequence
            }
            Some(shares) => {
                *shares -= 1;
                sequences.fork(sequence)
            }
            None => sequences.fork(sequence),
        }
    }

    /// The inputs of the next step.
    pub(super) fn inputs(&self) -> Vec<StepInput<'_>> {
        let inputs = self.running.iter().map(|Branch { sequence, nodes, tokens, done, step }| {
            let end = done + step;
            let logits = if end == tokens.len() { KeepLogits::Tail(nodes.len()) } else { KeepLogits::None };
            StepInput { sequence: *sequence, tokens: &tokens[*done..end], features: None, logits, generated: false }
        });
        inputs.collect()
    }

    /// Scores the answers that continue the branches of a step, whose logits these are.
    pub(super) fn advance(&mut self, logits: &[f32], sequences: &mut Sequences) -> Result<(), Error> {
        let Self { nodes, running, .. } = self;
        running.iter_mut().for_each(|branch| branch.done += std::mem::take(&mut branch.step));
        let finished = running.iter().filter(|branch| branch.done == branch.tokens.len());
        let scored: Vec<usize> = finished.flat_map(|branch| &branch.nodes).copied().collect();
        let vocabulary = (logits.len() / scored.len().max(1)).max(1);
        for (&node, logits) in scored.iter().zip(logits.chunks_exact(vocabulary)) {
            score(nodes, node, logits)?;
        }
        for branch in std::mem::take(&mut self.running).into_iter().rev() {
            let sequence = branch.sequence;
            let branches = match branch.nodes.last() {
                Some(&last) if branch.done == branch.tokens.len() => self.branch_out(sequence, last),
                _ => {
                    self.pending.push(branch);
                    1
                }
            };
            if branches == 0 {
                sequences.remove(sequence);
            } else {
                self.shares.insert(sequence, branches);
            }
        }
        Ok(())
    }

    pub(super) fn is_finished(&self) -> bool {
        self.prompt.is_some() && self.pending.is_empty() && self.running.is_empty()
    }

    /// Ends the scoring.
    pub(super) fn end(&mut self) {
        self.is_interrupted |= !self.is_finished();
    }

    /// All sequences, that of the prompt first.
    pub(super) fn take_sequences(&mut self) -> Vec<SequenceId> {
        let running = std::mem::take(&mut self.running).into_iter().map(|branch| branch.sequence);
        let shared = std::mem::take(&mut self.shares).into_keys();
        self.prompt.take().into_iter().chain(running).chain(shared).collect()
    }

    /// The log-probability of each answer to each question, in their order: the sum of those of its tokens.
    pub(super) fn scores(&self) -> Result<Vec<f64>, Error> {
        if self.is_interrupted {
            return Err(Error::Cancelled);
        }
        Ok(self.ends.iter().map(|&end| self.nodes[end].logprob).collect())
    }
}

/// Scores the tokens that may follow a node, whose logits these are.
fn score(nodes: &mut [Node], node: usize, logits: &[f32]) -> Result<(), Error> {
    let (before, children) = (nodes[node].logprob, nodes[node].children.clone());
    let tokens = children.iter().filter_map(|&child| nodes[child].tokens.first().copied());
    let logprobs = token_logprobs(logits, tokens.collect::<Vec<u32>>())?;
    for (child, logprob) in children.into_iter().zip(logprobs) {
        nodes[child].logprob = before + f64::from(logprob);
    }
    Ok(())
}
