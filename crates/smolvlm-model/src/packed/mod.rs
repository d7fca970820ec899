//! The model on packed weights, for the CPU kernels.

mod forward;
mod images;
mod sequences;
mod source;

use crate::Error;
use smolvlm_checkpoint::{EMBEDDINGS_PATH, LM_HEAD, TensorSource, Values, head_format, vision_format};
use smolvlm_config::{FloatType, ModelConfig};
use smolvlm_connector::PackedConnector;
use smolvlm_kernels::PackedFormat;
use smolvlm_kernels::cpu::{Epilogue, Matrix, PackedLhs, Pool, Precision, matmuls};
use smolvlm_nn::{PackedLinear, PackedSource};
use smolvlm_text::PackedDecoder;
use smolvlm_vision::PackedEncoder;
use source::Packing;
use std::sync::Mutex;

pub(crate) use sequences::PagedSequences;

/// Vision encoder, connector, text model and output projection on packed weights. Weights are shared by all threads;
/// products run on the current [`Pool`].
#[derive(Debug)]
pub struct PackedModel {
    config: ModelConfig,
    vision: PackedEncoder,
    connector: PackedConnector,
    text: PackedDecoder,
    /// Token embeddings, `[vocabulary, hidden]`. Also packed as `head` if the output projection is tied to them:
    /// lookups read the table, products the packed copy.
    embeddings: Values,
    head: PackedLinear,
    /// Activations of the vision encoder while it is idle.
    vision_workspace: Mutex<Option<smolvlm_vision::Workspace>>,
}

impl PackedModel {
    /// Packs every matrix of a source. With 4-bit text weights, vision weights and the output projection have 8 bits.
    pub(crate) fn load(
        config: &ModelConfig,
        source: &impl TensorSource,
        tied: bool,
        format: PackedFormat,
    ) -> Result<Self, Error> {
        let (vision, text) = (vision_format(format), &config.text);
        // Pixels need more than 8 bits of precision, and the matrix is small.
        let patches = if format.has_f32_activations() { format } else { PackedFormat::Bf16 };
        let packing = Packing::new(source, format);
        let shape = [text.vocab_size, text.hidden_size];
        let head = if tied { EMBEDDINGS_PATH } else { LM_HEAD };
        let table = if format == PackedFormat::F32 { FloatType::F32 } else { FloatType::Bf16 };
        Ok(Self {
            config: config.clone(),
            vision: PackedEncoder::load(&config.vision, &packing, [patches, vision])?,
            connector: PackedConnector::load(config, &packing, vision)?,
            text: PackedDecoder::load(text, &packing, format)?,
            head: PackedLinear::from(packing.matrix(head, &shape, head_format(format))?),
            embeddings: source.tensor(EMBEDDINGS_PATH, &shape, table)?,
            vision_workspace: Mutex::new(None),
        })
    }

    /// Number format of the output projection.
    pub(crate) fn head_format(&self) -> PackedFormat {
        self.head.format()
    }

    /// The configuration.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Projects the rows of `x`, outputs of the last decoder layer, to logits: `[rows, vocabulary]`.
    fn logits(&self, x: &Matrix<f32>, rows: &[usize], normed: &mut PackedLhs) -> Matrix<f32> {
        let (pool, mut out) = (Pool::current(), Matrix::new());
        normed.set_precision([(rows.len(), Precision::High)]);
        normed.fill(&pool, rows.len(), x.columns(), |row, out| self.text.norm().apply(x.row(rows[row]), out));
        out.resize(rows.len(), self.head.outputs());
        matmuls(&pool, normed, [self.head.to(Epilogue::store(&mut out))]);
        out
    }
}
