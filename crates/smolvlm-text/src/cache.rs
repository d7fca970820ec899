//! The KV cache.

use crate::{Error, TextModel};
use burn::tensor::{Bool, DType, Device, Int, Tensor, TensorData};
use smolvlm_config::TextConfig;
use smolvlm_nn::{AttentionMask, Rotary};

/// Keys (after rotation) and values of one layer, `[B, kv_heads, capacity, head_dim]` each.
#[derive(Debug, Clone)]
pub struct LayerCache {
    pub(crate) keys: Tensor<4>,
    pub(crate) values: Tensor<4>,
    pub(crate) len: usize,
}

/// The KV cache of all layers, allocated once and written in place, with the matching rotary tables.
///
/// Rows may be left-padded: each starts with `padding[row]` tokens that no real token attends to and that have no
/// position.
#[derive(Debug, Clone)]
pub struct KvCache {
    pub(crate) layers: Vec<LayerCache>,
    pub(crate) rotary: Rotary,
    pub(crate) padding: Vec<usize>,
    pub(crate) capacity: usize,
    dtype: DType,
    len: usize,
    #[cfg(feature = "cubecl")]
    pub(crate) gpu: crate::gpu::GpuState,
}

/// Rotary tables and attention mask of new tokens.
pub(crate) struct Positions {
    pub(crate) cos: Tensor<4>,
    pub(crate) sin: Tensor<4>,
    pub(crate) mask: AttentionMask,
}

impl KvCache {
    /// An empty cache with one row per entry of `padding`, each with capacity for `capacity` tokens, padding included.
    pub fn new(config: &TextConfig, padding: &[usize], capacity: usize, device: &Device, dtype: DType) -> Self {
        let capacity = capacity.max(1);
        let shape = [padding.len(), config.num_key_value_heads, capacity, config.head_dim];
        let layer = |_| LayerCache::new(shape, device, dtype);
        Self {
            layers: (0..config.num_hidden_layers).map(layer).collect(),
            rotary: rotary(config, capacity, device, dtype),
            padding: padding.to_vec(),
            capacity,
            dtype,
            len: 0,
            #[cfg(feature = "cubecl")]
            gpu: Default::default(),
        }
    }

    /// Number of rows in the batch.
    pub fn rows(&self) -> usize {
        self.padding.len()
    }

    /// Number of tokens in every row, padding included.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the cache holds no tokens.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Number of tokens that a row can hold.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Type of the keys and values.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Drops all tokens after the first `len`; other tokens can then follow the rest.
    pub fn truncate(&mut self, len: usize) {
        if len < self.len {
            self.leave_gpu();
        }
        self.set_len(self.len.min(len));
    }

    /// Combines the first rows of several caches into one cache. Rows with fewer tokens are padded on the left. Returns
    /// none without caches.
    ///
    /// # Errors
    ///
    /// [`Error::CacheFull`] when the longest row does not fit the capacity.
    pub fn stack(config: &TextConfig, rows: &[KvCache], capacity: usize) -> Result<Option<Self>, Error> {
        let len = rows.iter().map(KvCache::len).max().unwrap_or(0);
        if len > capacity {
            return Err(Error::CacheFull { tokens: len, used: 0, capacity });
        }
        let Some(first) = rows.first() else { return Ok(None) };
        let Some(device) = first.layers.first().map(|layer| layer.keys.device()) else { return Ok(None) };
        let padding: Vec<usize> = rows.iter().map(|row| len - row.len()).collect();
        let mut stacked = Self::new(config, &padding, capacity, &device, first.dtype);
        for (row, (source, padding)) in rows.iter().zip(padding).enumerate() {
            for (layer, from) in stacked.layers.iter_mut().zip(&source.layers) {
                layer.copy_row(row, padding, from);
            }
        }
        stacked.set_len(len);
        Ok(Some(stacked))
    }

    pub(crate) fn set_len(&mut self, len: usize) {
        self.len = len;
        for layer in &mut self.layers {
            layer.len = len;
        }
    }

    /// Selects rows, in this order: rows can be dropped, moved and repeated.
    ///
    /// # Errors
    ///
    /// [`Error::Row`] for a row that does not exist; the cache is unchanged then.
    pub fn select_rows(&mut self, rows: &[usize]) -> Result<(), Error> {
        if let Some(&row) = rows.iter().find(|&&row| row >= self.rows()) {
            return Err(Error::Row { row, rows: self.rows() });
        }
        if rows.iter().copied().eq(0..self.rows()) {
            return Ok(());
        }
        self.leave_gpu();
        self.padding = rows.iter().map(|&row| self.padding[row]).collect();
        let indices: Vec<i32> = rows.iter().map(|&row| row as i32).collect();
        for layer in &mut self.layers {
            layer.select_rows(&indices);
        }
        Ok(())
    }

    /// A copy of one row as a cache of its own, without padding.
    ///
    /// # Panics
    ///
    /// When there is no such row.
    #[must_use]
    pub fn row(&self, row: usize) -> Self {
        let padding = self.padding[row];
        let len = self.len - padding;
        Self {
            layers: self.layers.iter().map(|layer| layer.row(row, padding..self.len)).collect(),
            rotary: self.rotary.clone(),
            padding: vec![0],
            capacity: self.capacity,
            dtype: self.dtype,
            len,
            #[cfg(feature = "cubecl")]
            gpu: Default::default(),
        }
    }

    /// Grows the capacity to at least `capacity` tokens per row, padding included, and keeps the contents. It never
    /// shrinks.
    pub fn reserve(&mut self, config: &TextConfig, capacity: usize) {
        if capacity <= self.capacity {
            return;
        }
        let Some(device) = self.layers.first().map(|layer| layer.keys.device()) else { return };
        self.leave_gpu();
        self.rotary = rotary(config, capacity, &device, self.dtype);
        self.capacity = capacity;
        for layer in &mut self.layers {
            layer.reserve(capacity);
        }
    }

    /// Position id of token `index` of a row: padding is not counted and has position 0
    /// (transformers 5.24.0, `generate`: cumulative sum of the attention mask, less one).
    pub fn position(&self, row: usize, index: usize) -> usize {
        index.saturating_sub(self.padding.get(row).copied().unwrap_or_default())
    }

    /// Checks that every row has capacity for `tokens` more.
    pub(crate) fn check_room(&self, tokens: usize) -> Result<(), Error> {
        if tokens > self.capacity - self.len {
            return Err(Error::CacheFull { tokens, used: self.len, capacity: self.capacity });
        }
        Ok(())
    }

    /// Checks that the cache fits a model with keys and values of this type and this number of layers.
    pub(crate) fn check_model(&self, model: DType, model_layers: usize) -> Result<(), Error> {
        let (cache, cache_layers) = (self.dtype, self.layers.len());
        if cache != model || cache_layers != model_layers {
            return Err(Error::CacheMismatch { cache, cache_layers, model, model_layers });
        }
        Ok(())
    }

    /// Ends decoding by GPU kernels, which write into the tensors of the cache, before the tensors change in another
    /// way.
    pub(crate) fn leave_gpu(&mut self) {
        #[cfg(feature = "cubecl")]
        {
            self.gpu = Default::default();
        }
    }

    /// Counts a token that GPU kernels have written to every row.
    #[cfg(feature = "cubecl")]
    pub(crate) fn stepped(&mut self) {
        self.set_len(self.len + 1);
    }

    /// Rotary tables and attention mask for the next `tokens` tokens.
    pub(crate) fn positions(&self, tokens: usize, device: &Device) -> Result<Positions, Error> {
        self.check_room(tokens)?;
        if self.padding.iter().all(|&padding| padding == 0) {
            let (cos, sin) = self.rotary.range(self.len, tokens);
            return Ok(Positions { cos, sin, mask: AttentionMask::Causal });
        }
        let (rows, start, end) = (self.rows(), self.len, self.len + tokens);
        let ids = (0..rows).flat_map(|row| (start..end).map(move |index| self.position(row, index) as i32));
        let ids = TensorData::new(ids.collect::<Vec<i32>>(), [rows, tokens]);
        let (cos, sin) = self.rotary.at(Tensor::<2, Int>::from_data(ids, device));
        // A padding token attends only to itself, so that its softmax is finite; no other token attends to it.
        let hidden = self.padding.iter().flat_map(|&padding| {
            (start..end).flat_map(move |query| (0..end).map(move |key| key != query && (key > query || key < padding)))
        });
        let hidden = TensorData::new(hidden.collect::<Vec<bool>>(), [rows, 1, tokens, end]);
        Ok(Positions { cos, sin, mask: AttentionMask::Hidden(Tensor::<4, Bool>::from_data(hidden, device)) })
    }

    pub(crate) fn advance(&mut self, tokens: usize) {
        self.len += tokens;
    }
}

impl LayerCache {
    /// An empty cache for a single layer. `shape` is `[B, kv_heads, capacity, head_dim]`; a layer that gets more tokens
    /// than the capacity panics.
    pub fn new(shape: [usize; 4], device: &Device, dtype: DType) -> Self {
        let zeros = || Tensor::zeros(shape, (device, dtype));
        Self { keys: zeros(), values: zeros(), len: 0 }
    }

    /// A cache that a single prompt fills, whose memory is not initialized.
    #[cfg(feature = "cubecl")]
    pub(crate) fn for_prompt(shape: [usize; 4], device: &Device, dtype: DType) -> Self {
        let memory = || Tensor::empty(shape, (device, dtype));
        Self { keys: memory(), values: memory(), len: 0 }
    }

    /// Number of tokens in every row.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the cache holds no tokens.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn select_rows(&mut self, rows: &[i32]) {
        let rows = Tensor::<1, Int>::from_data(TensorData::new(rows.to_vec(), [rows.len()]), &self.keys.device());
        self.keys.inplace(|keys| keys.select(0, rows.clone()));
        self.values.inplace(|values| values.select(0, rows));
    }

    /// A copy of a range of tokens of a row, with the same capacity.
    fn row(&self, row: usize, tokens: std::ops::Range<usize>) -> Self {
        let [_, heads, capacity, width] = self.keys.dims();
        let mut own = Self::new([1, heads, capacity, width], &self.keys.device(), self.keys.dtype());
        let place = [0..1, 0..heads, 0..tokens.len(), 0..width];
        let part = |source: &Tensor<4>| source.clone().narrow(0, row, 1).narrow(2, tokens.start, tokens.len());
        own.keys.inplace(|keys| keys.slice_assign(place.clone(), part(&self.keys)));
        own.values.inplace(|values| values.slice_assign(place, part(&self.values)));
        own.len = tokens.len();
        own
    }

    /// Copies the first row of another cache to `row`, after `padding` tokens.
    fn copy_row(&mut self, row: usize, padding: usize, from: &Self) {
        let [_, heads, _, width] = self.keys.dims();
        let place = [row..row + 1, 0..heads, padding..padding + from.len, 0..width];
        let part = |source: &Tensor<4>| source.clone().narrow(0, 0, 1).narrow(2, 0, from.len);
        self.keys.inplace(|cache| cache.slice_assign(place.clone(), part(&from.keys)));
        self.values.inplace(|cache| cache.slice_assign(place, part(&from.values)));
    }

    fn reserve(&mut self, capacity: usize) {
        let [rows, heads, _, width] = self.keys.dims();
        let len = self.len;
        let grow = |old: Tensor<4>| {
            let fresh = Tensor::zeros([rows, heads, capacity, width], (&old.device(), old.dtype()));
            fresh.slice_assign([0..rows, 0..heads, 0..len, 0..width], old.narrow(2, 0, len))
        };
        if len == 0 {
            *self = Self::new([rows, heads, capacity, width], &self.keys.device(), self.keys.dtype());
        } else {
            self.keys.inplace(grow);
            self.values.inplace(grow);
        }
    }

    /// Appends keys and values of new tokens, `[B, kv_heads, T, head_dim]`, and returns those of all tokens.
    pub(crate) fn extend(&mut self, keys: Tensor<4>, values: Tensor<4>) -> (Tensor<4>, Tensor<4>) {
        let [rows, heads, tokens, width] = keys.dims();
        let (start, end) = (self.len, self.len + tokens);
        if start == 0 && keys.dims() == self.keys.dims() {
            // They are the whole cache.
            *self = Self { keys: keys.clone(), values: values.clone(), len: end };
            return (keys, values);
        }
        let place = [0..rows, 0..heads, start..end, 0..width];
        // `inplace` passes the only reference, so the backend writes into the cache's memory.
        self.keys.inplace(|cache| cache.slice_assign(place.clone(), keys));
        self.values.inplace(|cache| cache.slice_assign(place, values));
        self.len = end;
        let seen = |cache: &Tensor<4>| cache.clone().narrow(2, 0, end);
        (seen(&self.keys), seen(&self.values))
    }
}

fn rotary(config: &TextConfig, positions: usize, device: &Device, dtype: DType) -> Rotary {
    Rotary::new(&config.rope.inverse_frequencies(config.head_dim), positions, device, dtype)
}

impl TextModel {
    /// An empty cache for this model, on its device and in its type. See [`KvCache::new`].
    pub fn new_cache(&self, config: &TextConfig, padding: &[usize], capacity: usize) -> KvCache {
        let weight = self.norm.weight.val();
        KvCache::new(config, padding, capacity, &weight.device(), weight.dtype())
    }
}
