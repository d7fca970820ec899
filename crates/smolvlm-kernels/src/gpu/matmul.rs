//! Products of large matrices, by one of CubeK's ways of making them.

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
use cubek::matmul::tiled::Strategy as Tiled;
use cubek::std::InputBinding;

/// All ways that are worth trying on a card, with their names.
pub fn strategies() -> Vec<(String, Strategy)> {
    let mut found = Vec::new();
    for tile_matmul in [TileMatmulKind::Cmma, TileMatmulKind::Mma] {
        let is_cmma = matches!(tile_matmul, TileMatmulKind::Cmma);
        let simple = |multi_rows| Inferred(SimpleArgs { multi_rows, tile_matmul });
        let double = |specialized| Inferred(DoubleBufferingArgs { specialized, tile_matmul });
        let ordered = |rows| {
            let (partition_k, row_count, rows_per_plane) = (Some(2), Some(rows), Some(2));
            Inferred(OrderedSelectionArgs { partition_k, row_count, rows_per_plane, tile_matmul })
        };
        found.extend(if is_cmma {
            vec![
                ("simple", Staged::SimpleCyclicCmma(simple(false))),
                ("simple rows", Staged::SimpleCyclicCmma(simple(true))),
                ("double", Staged::DoubleCyclicCmma(double(false))),
                ("double specialized", Staged::DoubleCyclicCmma(double(true))),
                ("ordered 4", Staged::OrderedDoubleCmma(ordered(4))),
                ("ordered 8", Staged::OrderedDoubleCmma(ordered(8))),
                ("specialized", Staged::SpecializedCyclicCmma(Inferred(().into()))),
                ("specialized tma", Staged::SpecializedTmaCmma(Inferred(().into()))),
            ]
        } else {
            vec![
                ("simple", Staged::SimpleCyclicMma(simple(false))),
                ("simple rows", Staged::SimpleCyclicMma(simple(true))),
                ("double", Staged::DoubleCyclicMma(double(false))),
                ("double specialized", Staged::DoubleCyclicMma(double(true))),
                ("ordered 4", Staged::OrderedDoubleMma(ordered(4))),
                ("ordered 8", Staged::OrderedDoubleMma(ordered(8))),
                ("simple tma", Staged::SimpleTmaMma(Inferred(SimpleArgs { multi_rows: false, tile_matmul }))),
                ("specialized", Staged::SpecializedCyclicMma(Inferred(().into()))),
                ("specialized tma", Staged::SpecializedTmaMma(Inferred(().into()))),
            ]
        });
    }
    let count = found.len();
    let named = found.into_iter().enumerate().map(|(index, (name, strategy))| {
        let kind = if index < 8 { "cmma" } else { "mma" };
        (format!("{kind} {name}"), Strategy::MultiLevel(strategy))
    });
    debug_assert_eq!(count, 17);
    named.chain([("tiled cmma".to_owned(), Strategy::Tiled(Tiled::Cmma(Inferred(Default::default()))))]).collect()
}

/// Without the units for matrices, and so exact in f32.
pub fn exact() -> Strategy {
    let tile_size = TileSizeSelection::MaxTileSize;
    Strategy::MultiLevel(Staged::DoubleUnit(Inferred(DoubleUnitSelectionArgs { tile_size })))
}

/// The product of two matrices, or of batches of them, on a card with units for matrices; none on other devices, and where
/// Burn's own way is as good. In f32 it is exact, which Burn's is not: those units round f32 to 10 bits.
pub fn product<const D: usize>(lhs: &Tensor<D>, rhs: &Tensor<D>) -> Option<Tensor<D>> {
    let client = client(&lhs.device())?;
    if client.features().matmul.cmma.is_empty() || lhs.dtype() != DType::F32 {
        return None;
    }
    matmul(lhs.clone(), rhs.clone(), &exact()).ok()
}

/// `lhs rhs`, `[.., m, k]` and `[.., k, n]` to `[.., m, n]`, made so.
///
/// # Errors
///
/// Where the strategy does not suit the device or the matrices.
///
/// # Panics
///
/// When the tensors are not on a card.
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
    let element = element(dtype).ok_or_else(|| format!("no products of {dtype:?}"))?;
    let mut types = MatmulElems::from_globals(&MatmulGlobalElems { lhs: element, rhs: element, out: element });
    let client = out.client.clone();
    let [lhs, rhs] = [lhs, rhs].map(|tensor| InputBinding::new(tensor.binding(), element));
    launch_ref(strategy, &client, lhs, rhs, out.binding(), &mut types).map_err(|error| format!("{error:?}"))
}
