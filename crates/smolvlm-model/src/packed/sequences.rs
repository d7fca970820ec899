//! Sequences whose keys and values are in shared pages.

use super::PackedModel;
use crate::Error;
use crate::sequences::{PageTables, SequenceId, StepInput, TokenKey};
use smolvlm_kernels::PAGE_TOKENS;
use smolvlm_kernels::PageStore;
use smolvlm_kernels::cpu::{KvPages, Matrix, PackedLhs, Pool, Precision, Segment};
use smolvlm_nn::HostValues;
use smolvlm_text::Workspace;

/// The sequences of a packed model.
#[derive(Debug)]
pub(crate) struct PagedSequences {
    pages: KvPages,
    tables: PageTables,
    workspace: Workspace,
    /// The residual stream, then the logits' normalized rows, kept between steps.
    x: Matrix<f32>,
    normed: PackedLhs,
}

impl PagedSequences {
    pub(crate) fn new(model: &PackedModel, max_tokens: usize) -> Self {
        Self {
            pages: model.text.new_pages(max_tokens.div_ceil(PAGE_TOKENS)),
            tables: PageTables::default(),
            workspace: model.text.new_workspace(),
            x: Matrix::new(),
            normed: PackedLhs::new(model.head_format()),
        }
    }

    pub(crate) fn add(&mut self, id: SequenceId) {
        self.tables.add(id);
    }

    pub(crate) fn resume(&mut self, id: SequenceId, keys: &[TokenKey]) -> usize {
        self.tables.resume(id, keys, &mut self.pages)
    }

    pub(crate) fn keep(&mut self, id: SequenceId, keys: &[TokenKey], max_kept: usize) {
        self.tables.keep(id, keys, max_kept, &mut self.pages);
    }

    pub(crate) fn len(&self, id: SequenceId) -> usize {
        self.tables.len(id)
    }

    pub(crate) fn truncate(&mut self, id: SequenceId, len: usize) {
        self.tables.truncate(id, len, &mut self.pages);
    }

    pub(crate) fn max_tokens(&self) -> usize {
        self.pages.references().max_pages() * PAGE_TOKENS
    }

    pub(crate) fn used_pages(&self) -> usize {
        self.pages.references().used()
    }

    pub(crate) fn remove(&mut self, id: SequenceId) {
        self.tables.remove(id, &mut self.pages);
    }

    pub(crate) fn fork(&mut self, source: SequenceId, id: SequenceId) {
        self.tables.fork(source, id, &mut self.pages);
    }

    /// Runs new tokens of sequences through the model. Returns the logits of those that want them,
    /// `[rows, vocabulary]`.
    pub(crate) fn step(&mut self, model: &PackedModel, inputs: &[StepInput<'_>]) -> Result<Matrix<f32>, Error> {
        self.run(model, inputs, &mut |_| {})?;
        let mut rows = Vec::new();
        let mut first = 0;
        for input in inputs {
            let end = first + input.tokens.len();
            rows.extend(end - input.logit_rows()..end);
            first = end;
        }
        Ok(model.logits(&self.x, &rows, &mut self.normed))
    }

    /// Runs new tokens through the layers. Returns their outputs before the final norm, one row per token.
    pub(crate) fn run(
        &mut self,
        model: &PackedModel,
        inputs: &[StepInput<'_>],
        observe: &mut dyn FnMut(&Matrix<f32>),
    ) -> Result<&Matrix<f32>, Error> {
        self.embed(model, inputs)?;
        inputs
            .iter()
            .try_for_each(|input| self.tables.make_room(input.sequence, input.tokens.len(), &mut self.pages))?;
        let segments: Vec<Segment<'_>> = inputs
            .iter()
            .filter_map(|input| {
                let table = self.tables.get(input.sequence)?;
                let precision = if input.generated { Precision::High } else { Precision::Fast };
                Some(Segment { pages: &table.pages, start: table.len, tokens: input.tokens.len(), precision })
            })
            .collect();
        model.text.forward(&mut self.x, &segments, &mut self.pages, &mut self.workspace, observe);
        for input in inputs {
            self.tables.advance(input.sequence, input.tokens.len());
        }
        Ok(&self.x)
    }

    /// Fills the residual stream with token embeddings and image features.
    fn embed(&mut self, model: &PackedModel, inputs: &[StepInput<'_>]) -> Result<(), Error> {
        enum Row<'a> {
            Token(u32),
            Feature(&'a [f32]),
        }
        let (hidden, image) = (model.config.text.hidden_size, model.config.image_token_id);
        let features: Vec<Option<HostValues>> =
            inputs.iter().map(|input| input.features.clone().map(HostValues::of)).collect();
        let mut rows = Vec::new();
        for (input, features) in inputs.iter().zip(&features) {
            input.check(&model.config)?;
            let mut features = features.as_ref().map(|features| features.chunks_exact(hidden));
            rows.extend(input.tokens.iter().map(|&token| {
                let feature = features.as_mut().filter(|_| token == image).and_then(Iterator::next);
                feature.map_or(Row::Token(token), Row::Feature)
            }));
        }
        self.x.fill(&Pool::current(), rows.len(), hidden, |row, out| match rows[row] {
            Row::Token(token) => model.embeddings.read_row(token as usize, out),
            Row::Feature(feature) => out.copy_from_slice(feature),
        });
        Ok(())
    }
}
