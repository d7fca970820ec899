//! The encoder on packed weights.

mod embeddings;
mod layer;

use crate::Error;
use crate::position::PatchMask;
use embeddings::PackedEmbeddings;
use half::bf16;
use layer::PackedLayer;
use smolvlm_config::VisionConfig;
use smolvlm_kernels::PackedFormat;
use smolvlm_kernels::cpu::{AttentionScratch, Isa, Matrix, PackedLhs, Pool};
use smolvlm_nn::{PackedLayerNorm, PackedSource};

/// The encoder on packed weights.
#[derive(Debug)]
pub struct PackedEncoder {
    embeddings: PackedEmbeddings,
    layers: Vec<PackedLayer>,
    post_layernorm: PackedLayerNorm,
    format: PackedFormat,
    /// Whether queries, keys and values are f32: kernels read heads of bf16 in pairs of values, and without
    /// instructions for bf16, f32 is faster.
    wide_heads: bool,
}

/// Activations, kept between calls so that an encoding allocates little.
#[derive(Debug)]
pub struct Workspace {
    normed: PackedLhs,
    attended: PackedLhs,
    inner: PackedLhs,
    f32_heads: Matrix<f32>,
    bf16_heads: Matrix<bf16>,
    scratch: AttentionScratch,
}

/// Tiles on their way through the layers.
#[derive(Debug)]
pub struct TileEncoding {
    x: Matrix<f32>,
    tiles: usize,
    patches: usize,
    /// The patches that serve as keys; none if all do.
    seen: Option<Vec<bool>>,
    next_layer: usize,
}

impl TileEncoding {
    /// Number of tiles.
    pub fn tiles(&self) -> usize {
        self.tiles
    }

    /// The residual stream, one row per patch of each tile.
    pub fn hidden(&self) -> &Matrix<f32> {
        &self.x
    }
}

impl PackedEncoder {
    /// Loads the encoder at the path `vision`. The patch embedding has its own format.
    ///
    /// # Errors
    ///
    /// Those of the source.
    pub fn load<S: PackedSource>(
        config: &VisionConfig,
        source: &S,
        [patches, format]: [PackedFormat; 2],
    ) -> Result<Self, S::Error> {
        let layer = |index| PackedLayer::load(config, source, &format!("vision.layers.{index}"), format);
        let norm = PackedLayerNorm::load(source, "vision.post_layernorm", config.hidden_size, config.layer_norm_eps);
        let odd_heads = (config.hidden_size / config.num_attention_heads) % 2 == 1;
        Ok(Self {
            embeddings: PackedEmbeddings::load(config, source, patches)?,
            layers: (0..config.num_hidden_layers).map(layer).collect::<Result<_, _>>()?,
            post_layernorm: norm?,
            format,
            wide_heads: format.has_f32_activations() || odd_heads || !Isa::current().bf16,
        })
    }

    /// Number of layers.
    pub fn layers(&self) -> usize {
        self.layers.len()
    }

    /// A workspace for this encoder.
    pub fn new_workspace(&self) -> Workspace {
        let rows = || PackedLhs::new(self.format);
        Workspace {
            normed: rows(),
            attended: rows(),
            inner: rows(),
            f32_heads: Matrix::new(),
            bf16_heads: Matrix::new(),
            scratch: AttentionScratch::default(),
        }
    }

    /// Embeds the patches of tiles, `[tiles, channels, height, width]`. With a `mask`, no patch attends to invalid
    /// patches, whose own features are finite but meaningless.
    ///
    /// # Errors
    ///
    /// [`Error::TileShape`] and [`Error::MaskShape`] for tiles or a mask of unsupported shape.
    pub fn begin(&self, tiles: &[&[f32]], shape: [usize; 3], mask: Option<&PatchMask>) -> Result<TileEncoding, Error> {
        let [channels, height, width] = shape;
        let grid = self.embeddings.shape.checked_grid([tiles.len(), channels, height, width], mask)?;
        let mask = mask.filter(|mask| !mask.is_full());
        let x = self.embeddings.embed(&Pool::current(), tiles, [height, width], grid, mask);
        let patches = grid[1] * grid[2];
        Ok(TileEncoding { x, tiles: grid[0], patches, seen: mask.map(visible), next_layer: 0 })
    }

    /// Runs up to `layers` more layers; whether all have run then.
    pub fn advance(&self, encoding: &mut TileEncoding, layers: usize, workspace: &mut Workspace) -> bool {
        let pool = Pool::current();
        for layer in self.layers.iter().skip(encoding.next_layer).take(layers) {
            layer.run(&pool, encoding, self.wide_heads, workspace);
            encoding.next_layer += 1;
        }
        encoding.next_layer >= self.layers.len()
    }

    /// Applies the final norm to the output of the last layer, `[tiles * patches, hidden]`.
    pub fn finish(&self, encoding: &TileEncoding) -> Matrix<f32> {
        let (x, mut out) = (&encoding.x, Matrix::new());
        out.fill(&Pool::current(), x.rows(), x.columns(), |row, out| self.post_layernorm.apply(x.row(row), out));
        out
    }
}

/// The patches that serve as keys. In a tile without valid patches all do, because a softmax over no keys is undefined.
fn visible(mask: &PatchMask) -> Vec<bool> {
    let tiles = mask.valid.chunks(mask.shape[1] * mask.shape[2]);
    tiles.flat_map(|tile| tile.iter().map(|&valid| valid || !tile.contains(&true))).collect()
}
