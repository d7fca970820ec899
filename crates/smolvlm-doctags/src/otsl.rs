//! Table cells from OTSL tokens (Lysak et al., 2023, arXiv 2305.03393).

use crate::document::{Cell, CellKind, Table};
use crate::tags::CellTag;

/// The tokens of a table: rows of cells, with the text that follows each.
#[derive(Debug, Default)]
pub(crate) struct Otsl {
    rows: Vec<Vec<Slot>>,
    /// Whether the last row is complete.
    ended: bool,
}

#[derive(Debug)]
struct Slot {
    tag: CellTag,
    text: String,
}

impl Otsl {
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Starts a cell.
    pub(crate) fn cell(&mut self, tag: CellTag) {
        let slot = Slot { tag, text: String::new() };
        match self.rows.last_mut() {
            Some(row) if !self.ended => row.push(slot),
            _ => self.rows.push(vec![slot]),
        }
        self.ended = false;
    }

    /// Ends the row.
    pub(crate) fn end_row(&mut self) {
        self.ended = true;
    }

    /// Adds text to the last cell; text without a cell gets one of its own.
    pub(crate) fn text(&mut self, text: &str) {
        if (self.ended || self.rows.is_empty()) && !text.trim().is_empty() {
            self.cell(CellTag::Full);
        }
        if let Some(slot) = self.rows.last_mut().and_then(|row| row.last_mut()).filter(|_| !self.ended) {
            slot.text.push_str(text);
        }
    }

    /// The table; none without cells.
    ///
    /// The tokens to the right and below that extend a cell belong to it if they form a rectangle. Any others are cells
    /// of their own, so that cells never overlap and no text is lost. Takes linear time: the area of all cells is at
    /// most the number of tokens.
    pub(crate) fn table(mut self) -> Option<Table> {
        for slot in self.rows.iter_mut().flatten() {
            if slot.tag.extends() && !slot.text.trim().is_empty() {
                slot.tag = CellTag::Full;
            }
        }
        let mut taken: Vec<Vec<bool>> = self.rows.iter().map(|row| vec![false; row.len()]).collect();
        let mut cells = Vec::new();
        for row in 0..self.rows.len() {
            for column in 0..self.rows[row].len() {
                if taken[row][column] {
                    continue;
                }
                let (row_span, column_span) = self.spans(row, column, &taken);
                for line in &mut taken[row..row + row_span] {
                    line[column..column + column_span].fill(true);
                }
                let slot = &self.rows[row][column];
                let text = slot.text.trim().to_owned();
                cells.push(Cell { row, column, row_span, column_span, kind: slot.tag.kind(), text });
            }
        }
        let columns = self.rows.iter().map(Vec::len).max()?;
        Some(Table { rows: self.rows.len(), columns, cells })
    }

    /// Numbers of rows and columns of the cell that starts at a position.
    fn spans(&self, row: usize, column: usize, taken: &[Vec<bool>]) -> (usize, usize) {
        if self.rows[row][column].tag.extends() {
            return (1, 1);
        }
        let free = |row: usize, column: usize, tags: &[CellTag]| {
            let slot = self.rows.get(row).and_then(|slots| slots.get(column));
            slot.is_some_and(|slot| tags.contains(&slot.tag) && !taken[row][column])
        };
        let right = [CellTag::Left, CellTag::Cross];
        let column_span = 1 + (column + 1..).take_while(|&column| free(row, column, &right)).count();
        let below = |row: usize| {
            free(row, column, &[CellTag::Up, CellTag::Cross])
                && (column + 1..column + column_span)
                    .all(|column| free(row, column, &[CellTag::Left, CellTag::Up, CellTag::Cross]))
        };
        let row_span = 1 + (row + 1..).take_while(|&row| below(row)).count();
        (row_span, column_span)
    }
}

impl CellTag {
    /// Whether it is a part of another cell.
    fn extends(self) -> bool {
        matches!(self, Self::Left | Self::Up | Self::Cross)
    }

    fn kind(self) -> CellKind {
        match self {
            Self::ColumnHeader => CellKind::ColumnHeader,
            Self::RowHeader => CellKind::RowHeader,
            Self::Section => CellKind::Section,
            _ => CellKind::Body,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Spans of cells by position, from letters of tokens: f, l, u, x, e; rows are separated by spaces.
    fn spans(rows: &str) -> Vec<(usize, usize, usize, usize)> {
        let mut otsl = Otsl::default();
        for letter in rows.chars() {
            match letter {
                'l' => otsl.cell(CellTag::Left),
                'u' => otsl.cell(CellTag::Up),
                'x' => otsl.cell(CellTag::Cross),
                'e' => otsl.cell(CellTag::Empty),
                ' ' => otsl.end_row(),
                _ => otsl.cell(CellTag::Full),
            }
        }
        let cells = otsl.table().unwrap_or_default().cells;
        cells.iter().map(|cell| (cell.row, cell.column, cell.row_span, cell.column_span)).collect()
    }

    #[test]
    fn rectangles_are_one_cell() {
        assert_eq!(spans("flf uxf"), [(0, 0, 2, 2), (0, 2, 1, 1), (1, 2, 1, 1)]);
        assert_eq!(spans("ff uf uf"), [(0, 0, 3, 1), (0, 1, 1, 1), (1, 1, 1, 1), (2, 1, 1, 1)]);
        assert_eq!(spans("fxl"), [(0, 0, 1, 3)]);
    }

    #[test]
    fn other_parts_are_cells_of_their_own() {
        assert_eq!(spans("lu x"), [(0, 0, 1, 1), (0, 1, 1, 1), (1, 0, 1, 1)]);
        assert_eq!(spans("fl uf"), [(0, 0, 1, 2), (1, 0, 1, 1), (1, 1, 1, 1)]);
        assert_eq!(spans("f  e"), [(0, 0, 1, 1), (1, 0, 1, 1)]);
    }

    #[test]
    fn text_is_kept_wherever_it_is() {
        let mut otsl = Otsl::default();
        for piece in ["before", "\n"] {
            otsl.text(piece);
        }
        otsl.cell(CellTag::Left);
        otsl.text(" in ");
        otsl.end_row();
        otsl.text(" ");
        otsl.text("after");
        let texts: Vec<_> = otsl.table().unwrap().cells.into_iter().map(|cell| cell.text).collect();
        assert_eq!(texts, ["before", "in", "after"]);
    }

    #[test]
    fn wide_and_tall_tables_take_linear_time() {
        let row = format!("f{}", "l".repeat(100_000));
        let column = " u".repeat(100_000);
        assert_eq!(spans(&format!("{row}{column}"))[0], (0, 0, 1, 100_001));
    }
}
