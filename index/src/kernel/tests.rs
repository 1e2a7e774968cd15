//! Every table against the scalar reference and `simsimd`, on random and extreme codes of every
//! length.

#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

use super::detect::available;
use super::nibbles::GROUP;
use super::panel::{self, Few, HEIGHT, Point, Points, TOGETHER, Tile, WIDTH};
use super::{Rows, kernels, nibbles, prefetch, scalar};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use simsimd::SpatialSimilarity;

/// Rows of `len` codes: random ones and the extremes, where saturation or a wrong sign would show.
fn rows(len: usize, rng: &mut StdRng) -> Vec<Vec<i8>> {
    let mut rows: Vec<Vec<i8>> = (0..4).map(|_| (0..len).map(|_| rng.random_range(-127..=127)).collect()).collect();
    rows.extend([-127, -126, -1, 0, 127].map(|code| vec![code; len]));
    rows.push((0..len).map(|i| if i % 2 == 0 { 127 } else { -127 }).collect());
    rows
}

#[test]
fn every_table_equals_the_reference() {
    let mut rng = StdRng::seed_from_u64(7);
    let lengths = (0..=192).chain((256..=4096).step_by(64));
    for len in lengths {
        let rows = rows(len, &mut rng);
        let block: Vec<i8> = rows.concat();
        let positions: Vec<u32> = (0..rows.len() as u32).chain([3, 99, 0, 5, 5]).collect();
        for table in available() {
            for (at, query) in rows.iter().enumerate() {
                for row in &rows {
                    let expected = scalar::dot(query, row);
                    assert_eq!((table.dot)(query, row), expected, "{} {len}", table.name);
                    assert_eq!(i8::dot(query, row), Some(f64::from(expected)), "simsimd {len}");
                }
                let (mut found, mut expected) = (vec![0; positions.len()], vec![0; positions.len()]);
                let (rows, positions) = (Rows::new(&block, len, 0..len), &positions[at % 5..]);
                (table.dots)(query, rows, positions, &mut found);
                scalar::dots(query, rows, positions, &mut expected);
                assert_eq!(found, expected, "{} {len}", table.name);
            }
        }
    }
}

/// Products, distances to the last bit, and who is within, for panels that are full, not full, and missing.
#[test]
fn every_table_compares_panels_alike() {
    let mut rng = StdRng::seed_from_u64(8);
    for stride in [64, 128, 192, 1024, 4096] {
        let rows = rows(stride, &mut rng);
        let block: Vec<i8> = rows.concat();
        let mut point =
            || Point { unit: rng.random(), squared: 1e4 * rng.random::<f32>(), lift: 99.0 * rng.random::<f32>() };
        let points: Vec<Point> = rows.iter().map(|_| point()).collect();
        for count in [1_usize, 15, 16, 17, 40] {
            let positions: Vec<u32> = (0..count).map(|at| at as u32 % rows.len() as u32).collect();
            let at = |position: &u32| *position as usize;
            let mut panels = vec![99; count.div_ceil(WIDTH) * WIDTH * stride];
            panel::pack(Rows::new(&block, stride, 0..stride), stride, &positions, &mut panels);
            let of_panels: Vec<Points> =
                positions.chunks(WIDTH).map(|rows| Points::of(rows.iter().map(|row| points[at(row)]))).collect();
            let mut steps = vec![Default::default(); stride / TOGETHER];
            panel::pack_few(std::array::from_fn(|few| rows[few].as_slice()), &mut steps);
            let own = std::array::from_fn(|few| points[few]);
            // As far as some row is, exactly.
            let most = std::array::from_fn(|few| {
                own[few].distance(
                    points[at(&positions[count / 2])],
                    scalar::dot(&rows[few], &rows[at(&positions[count / 2])]),
                )
            });
            let few = Few { steps: &steps, points: own, most };
            for table in available() {
                let mut tiles = vec![[Tile::EMPTY; HEIGHT]; of_panels.len()];
                (table.tiles)(&few, &panels, &of_panels, &mut tiles);
                for (place, few) in (0..tiles.len() * WIDTH).flat_map(|place| (0..HEIGHT).map(move |few| (place, few)))
                {
                    let tile = &tiles[place / WIDTH][few];
                    let expected = positions.get(place).map_or(f32::INFINITY, |row| {
                        own[few].distance(points[at(row)], scalar::dot(&rows[few], &rows[at(row)]))
                    });
                    assert_eq!(
                        tile.distances[place % WIDTH].to_bits(),
                        expected.to_bits(),
                        "{} {stride} {count}",
                        table.name
                    );
                    assert_eq!(tile.within >> (place % WIDTH) & 1 == 1, expected <= most[few], "{}", table.name);
                }
            }
        }
    }
}

#[test]
fn every_table_equals_the_reference_on_nibbles() {
    let mut rng = StdRng::seed_from_u64(8);
    for len in (0..=1024).step_by(GROUP).chain([1536, 4096]) {
        let queries = rows(len, &mut rng);
        let mut components: Vec<Vec<u8>> =
            (0..9).map(|_| (0..len).map(|_| rng.random_range(0..16)).collect()).collect();
        components.extend([vec![15; len], vec![0; len]]);
        let mut packed = vec![0; components.len() * len / 2];
        for (numbers, packed) in components.concat().as_chunks().0.iter().zip(packed.as_chunks_mut().0) {
            *packed = nibbles::pack(numbers);
            assert_eq!(nibbles::unpack(packed), *numbers);
        }
        let positions: Vec<u32> = (0..components.len() as u32).chain([3, 0, 99]).collect();
        for table in available() {
            for query in &queries {
                let dot = |row: &Vec<u8>| query.iter().zip(row).map(|(&y, &n)| i32::from(y) * i32::from(n)).sum();
                let expected: Vec<i32> =
                    positions.iter().map(|&at| components.get(at as usize).map_or(0, dot)).collect();
                let mut found = vec![0; positions.len()];
                (table.nibble_dots)(query, Rows::new(&packed, len / 2, 0..len / 2), &positions, &mut found);
                assert_eq!(found, expected, "{} {len}", table.name);
            }
        }
    }
}

#[test]
fn every_table_squares_packed_codes() {
    let mut rng = StdRng::seed_from_u64(9);
    for len in (0..=1024).step_by(GROUP).chain([4096]) {
        let mut codes = rows(len, &mut rng);
        codes.push((0..len).map(|at| if at + 1 == len { i8::MIN } else { -127 }).collect());
        codes.push((0..len).map(|at| if at == 40 { i8::MIN } else { 9 }).collect());
        for code in codes {
            let halves = |half: fn(u8) -> u8| -> Vec<u8> {
                code.as_chunks()
                    .0
                    .iter()
                    .flat_map(|group: &[i8; GROUP]| nibbles::pack(&group.map(|z| half(z as u8 ^ 128))))
                    .collect()
            };
            let (high, low) = (halves(|z| z >> 4), halves(|z| z & 15));
            let sum = |of: fn(i32) -> i32| code.iter().map(|&z| i32::from(z) * of(i32::from(z))).sum();
            let sums = [sum(|z| z), sum(|z| 2 * z.div_euclid(16) * 16 + 15)];
            let expected = (!code.contains(&i8::MIN)).then_some(sums);
            assert_eq!(scalar::squares(&high, &low), expected);
            for table in available() {
                assert_eq!((table.squares)(&high, &low), expected, "{} {len}", table.name);
            }
        }
    }
}

#[test]
fn every_table_unpacks_numbers() {
    let mut rng = StdRng::seed_from_u64(10);
    for bits in 1..=32_u32 {
        for count in (0..70).chain([480, 1000]) {
            let numbers: Vec<u32> = (0..count).map(|_| rng.random::<u32>() >> (32 - bits)).collect();
            let bit = |at: usize| {
                numbers.get(at / bits as usize).map_or(0, |number| (number >> (at % bits as usize)) as u8 & 1)
            };
            let byte = |byte: usize| (0..8).map(|at| bit(byte * 8 + at) << at).sum();
            let whole: Vec<u8> = (0..(count * bits as usize).div_ceil(8)).map(byte).collect();
            for packed in [whole.clone(), [&whole[..], &[0xff; 40]].concat(), whole[..whole.len() / 2].to_vec()] {
                // What is cut off reads as zeros.
                let seen = packed.len() * 8;
                let expected: Vec<u32> = (0..count)
                    .map(|at| {
                        (0..bits as usize).filter(|b| at * bits as usize + b < seen).map(|b| numbers[at] & 1 << b).sum()
                    })
                    .collect();
                for unpack in available().iter().map(|table| table.unpack).chain([scalar::unpack as _]) {
                    let mut found = vec![7; count];
                    let greatest = unpack(&packed, bits, &mut found);
                    assert_eq!(found, expected, "{bits} {count}");
                    assert_eq!(greatest, expected.iter().copied().max().unwrap_or(0));
                }
            }
        }
    }
}

#[test]
fn every_table_transforms_alike() {
    let mut rng = StdRng::seed_from_u64(11);
    for length in (6..=12).map(|power| 1_usize << power) {
        let values: Vec<f32> = (0..length).map(|_| rng.random_range(-1.0..1.0)).collect();
        // The definition: the sign at (row, column) is that of the bits which both have.
        let sign = |row: usize, column: usize| if (row & column).count_ones().is_multiple_of(2) { 1.0 } else { -1.0 };
        let mut expected = values.clone();
        scalar::hadamard(&mut expected);
        for row in [0, 1, 5, length / 2 + 3, length - 1] {
            let exact: f64 = (0..length).map(|column| sign(row, column) * f64::from(values[column])).sum();
            assert!((exact - f64::from(expected[row])).abs() < 1e-3, "{length} {row}");
        }
        for table in available() {
            let mut found = values.clone();
            (table.hadamard)(&mut found);
            let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&found), bits(&expected), "{} {length}", table.name);
        }
    }
}

#[test]
fn a_longer_row_is_cut() {
    let long = [3_i8; 200];
    for table in available() {
        assert_eq!((table.dot)(&long[..130], &long), 130 * 9);
        let mut found = [-1; 6];
        (table.dots)(&long, Rows::new(&long, 65, 0..65), &[0, 1, 2, 3, 2, 7], &mut found[..5]);
        assert_eq!(found, [65 * 9, 65 * 9, 65 * 9, 0, 65 * 9, -1], "{}", table.name);
    }
}

#[test]
fn a_table_is_chosen_and_prefetch_is_harmless() {
    assert!(available().iter().any(|table| table.name == kernels().name));
    prefetch(&[0_u8; 0]);
    prefetch(&[0_u32; 333]);
}
