//! The decoder on packed weights: flat rows of any number of sequences, whose keys and values are in pages.

mod layer;

use layer::PackedLayer;
use smolvlm_config::TextConfig;
use smolvlm_kernels::PackedFormat;
use smolvlm_kernels::cpu::{KvPages, KvShape, KvType, Matrix, PackedLhs, PagedScratch, Pool, Segment};
use smolvlm_nn::{PackedRmsNorm, PackedSource};

/// The decoder on packed weights, without its output projection.
#[derive(Debug)]
pub struct PackedDecoder {
    layers: Vec<PackedLayer>,
    norm: PackedRmsNorm,
    format: PackedFormat,
    kv_shape: KvShape,
    inverse_frequencies: Vec<f32>,
}

/// Activations, kept between calls so that a step allocates nothing.
#[derive(Debug)]
pub struct Workspace {
    normed: PackedLhs,
    attended: PackedLhs,
    inner: PackedLhs,
    /// Outputs of the query, key and value projections.
    projected: Matrix<f32>,
    /// Cosines, then sines, of each row's position, half a head each.
    rotary: Matrix<f32>,
    scratch: PagedScratch,
}

impl PackedDecoder {
    /// Loads the decoder at the path `text`.
    ///
    /// # Errors
    ///
    /// Those of the source.
    pub fn load<S: PackedSource>(config: &TextConfig, source: &S, format: PackedFormat) -> Result<Self, S::Error> {
        let layer = |index| PackedLayer::load(config, source, &format!("text.layers.{index}"), format);
        Ok(Self {
            layers: (0..config.num_hidden_layers).map(layer).collect::<Result<_, _>>()?,
            norm: PackedRmsNorm::load(source, "text.norm", config.hidden_size, config.rms_norm_eps)?,
            format,
            kv_shape: KvShape {
                layers: config.num_hidden_layers,
                kv_heads: config.num_key_value_heads,
                width: config.head_dim,
            },
            inverse_frequencies: config.rope.inverse_frequencies(config.head_dim),
        })
    }

    /// Number format of the weights.
    pub fn format(&self) -> PackedFormat {
        self.format
    }

    /// The final norm.
    pub fn norm(&self) -> &PackedRmsNorm {
        &self.norm
    }

    /// Pages for keys and values of this decoder: bf16 unless activations are f32.
    pub fn new_pages(&self, max_pages: usize) -> KvPages {
        KvPages::new(self.kv_shape, self.kv_type(), max_pages)
    }

    fn kv_type(&self) -> KvType {
        if self.format.has_f32_activations() { KvType::F32 } else { KvType::Bf16 }
    }

    /// A workspace for this decoder.
    pub fn new_workspace(&self) -> Workspace {
        let rows = || PackedLhs::new(self.format);
        Workspace {
            normed: rows(),
            attended: rows(),
            inner: rows(),
            projected: Matrix::new(),
            rotary: Matrix::new(),
            scratch: PagedScratch::default(),
        }
    }

    /// Runs new tokens through the layers, and stores their keys and values in the pages of their segments. `x` has
    /// one row per token, in the order of the segments: their embeddings, which become the residual stream before the
    /// final norm. `observe` is called with the inputs of each layer.
    ///
    /// # Shapes
    ///
    /// `x` is `[tokens of all segments, hidden]`.
    ///
    /// # Panics
    ///
    /// When the number of rows does not match the segments, or a segment has too few pages.
    pub fn forward(
        &self,
        x: &mut Matrix<f32>,
        segments: &[Segment<'_>],
        pages: &mut KvPages,
        workspace: &mut Workspace,
        observe: &mut dyn FnMut(&Matrix<f32>),
    ) {
        let pool = Pool::current();
        self.prepare_rotary(&pool, segments, &mut workspace.rotary);
        for rows in [&mut workspace.normed, &mut workspace.attended, &mut workspace.inner] {
            rows.set_precision(segments.iter().map(|segment| (segment.tokens, segment.precision)));
        }
        for (index, layer) in self.layers.iter().enumerate() {
            observe(x);
            layer.run(&pool, x, segments, (pages, index), workspace);
        }
    }

    /// Computes cosines and sines in f32, as the reference does (transformers 5.24.0, modeling_llama.py).
    fn prepare_rotary(&self, pool: &Pool, segments: &[Segment<'_>], rotary: &mut Matrix<f32>) {
        let half = self.inverse_frequencies.len();
        let positions: Vec<usize> =
            segments.iter().flat_map(|segment| segment.start..segment.start + segment.tokens).collect();
        rotary.fill(pool, positions.len(), 2 * half, |row, out| {
            let (cos, sin) = out.split_at_mut(half);
            for ((cos, sin), inverse) in cos.iter_mut().zip(sin).zip(&self.inverse_frequencies) {
                (*sin, *cos) = (positions[row] as f32 * inverse).sin_cos();
            }
        });
    }
}
