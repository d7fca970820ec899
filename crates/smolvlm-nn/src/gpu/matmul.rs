//! Products of large matrices, with selected CubeK strategies.

use super::tensor::{client, cube_tensor, element, mapped_to};
use burn::tensor::{DType, Tensor};
use burn_cubecl::tensor::CubeTensor;
use cubek::matmul::definition::{MatmulElems, MatmulGlobalElems};
use cubek::matmul::launch::launch_ref;
use cubek::matmul::multi_level::Strategy as Staged;
use cubek::matmul::multi_level::components::tile::TileMatmulKind;
use cubek::matmul::multi_level::routines::TileSizeSelection;
use cubek::matmul::multi_level::routines::batch::double_buffering::DoubleBufferingArgs;
use cubek::matmul::multi_level::routines::batch::double_unit::DoubleUnitSelectionArgs;
use cubek::matmul::multi_level::routines::batch::ordered_double_buffering::OrderedSelectionArgs;
use cubek::matmul::multi_level::routines::batch::simple::SimpleArgs;
use cubek::matmul::routine::BlueprintStrategy::Inferred;
use cubek::matmul::strategy::Strategy;
use cubek::std::InputBinding;

/// Minimum number of rows for the strategy that processes several rows of tiles at a time on tensor cores.
const MANY_ROWS: usize = 512;

/// The product of two matrices or batches of matrices on a GPU with tensor cores; `None` on other devices, and where
/// Burn's own strategy is as fast. In f32 it has full precision, unlike Burn's: tensor cores round f32 to 10 bits of
/// mantissa.
pub fn try_matmul<const D: usize>(lhs: &Tensor<D>, rhs: &Tensor<D>) -> Option<Tensor<D>> {
    let client = client(&lhs.device())?;
    let strategy = match lhs.dtype() {
        _ if client.features().matmul.cmma.is_empty() => return None,
        DType::F32 => exact(),
        _ if lhs.dims()[D - 2] >= MANY_ROWS => Strategy::MultiLevel(ordered(8, TileMatmulKind::Mma)),
        _ => return None,
    };
    matmul(lhs.clone(), rhs.clone(), &strategy).ok()
}

/// A strategy without tensor cores, which has full f32 precision.
pub fn exact() -> Strategy {
    let tile_size = TileSizeSelection::MaxTileSize;
    Strategy::MultiLevel(Staged::DoubleUnit(Inferred(DoubleUnitSelectionArgs { tile_size })))
}

/// The fastest strategy on an NVIDIA H200 among the [`strategies`] that compile within seconds: 140 TFLOP/s in bf16.
fn ordered(rows: u32, tile_matmul: TileMatmulKind) -> Staged {
    let (partition_k, row_count, rows_per_plane) = (Some(2), Some(rows), Some(2));
    let arguments = Inferred(OrderedSelectionArgs { partition_k, row_count, rows_per_plane, tile_matmul });
    match tile_matmul {
        TileMatmulKind::Cmma => Staged::OrderedDoubleCmma(arguments),
        _ => Staged::OrderedDoubleMma(arguments),
    }
}

/// Named strategies to benchmark on a GPU.
pub fn strategies() -> Vec<(&'static str, Strategy)> {
    let simple = |multi_rows, tile_matmul| Inferred(SimpleArgs { multi_rows, tile_matmul });
    let double = |specialized, tile_matmul| Inferred(DoubleBufferingArgs { specialized, tile_matmul });
    let [cmma, mma] = [TileMatmulKind::Cmma, TileMatmulKind::Mma];
    let staged = [
        ("cmma simple", Staged::SimpleCyclicCmma(simple(false, cmma))),
        ("cmma simple, rows", Staged::SimpleCyclicCmma(simple(true, cmma))),
        ("cmma ordered, 8 rows", ordered(8, cmma)),
        ("mma simple", Staged::SimpleCyclicMma(simple(false, mma))),
        ("mma simple, rows", Staged::SimpleCyclicMma(simple(true, mma))),
        ("mma ordered, 4 rows", ordered(4, mma)),
        ("mma ordered, 8 rows", ordered(8, mma)),
        ("mma double", Staged::DoubleCyclicMma(double(false, mma))),
        ("mma double, specialized", Staged::DoubleCyclicMma(double(true, mma))),
    ];
    staged.into_iter().map(|(name, strategy)| (name, Strategy::MultiLevel(strategy))).collect()
}

/// Multiplies `[.., m, k]` and `[.., k, n]` to `[.., m, n]` with a given strategy.
///
/// # Errors
///
/// When the strategy does not support the device or the matrices.
///
/// # Panics
///
/// When the tensors are not on a GPU.
pub fn matmul<const D: usize>(lhs: Tensor<D>, rhs: Tensor<D>, strategy: &Strategy) -> Result<Tensor<D>, String> {
    let mut shape = lhs.dims();
    shape[D - 1] = rhs.dims()[D - 1];
    let rhs = cube_tensor(rhs);
    let mut outcome = Ok(());
    let out = mapped_to(lhs, shape, |lhs| {
        let out = burn_cubecl::kernel::matmul::init_matmul_output(&lhs, &rhs, lhs.dtype);
        outcome = launch(lhs, rhs, out.clone(), strategy);
        out
    });
    outcome.map(|()| out)
}

fn launch(lhs: CubeTensor, rhs: CubeTensor, out: CubeTensor, strategy: &Strategy) -> Result<(), String> {
    let dtype: DType = out.dtype;
    let element = element(dtype).ok_or_else(|| format!("matrix products of {dtype:?} are not supported"))?;
    let mut types = MatmulElems::from_globals(&MatmulGlobalElems { lhs: element, rhs: element, out: element });
    let client = out.client.clone();
    let [lhs, rhs] = [lhs, rhs].map(|tensor| InputBinding::new(tensor.binding(), element));
    launch_ref(strategy, &client, lhs, rhs, out.binding(), &mut types).map_err(|error| format!("{error:?}"))
}
