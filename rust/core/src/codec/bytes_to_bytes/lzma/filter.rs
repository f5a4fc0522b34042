//! The filters of `lzma`, as Python's module spells them.
//!
//! Specification: <https://docs.python.org/3/library/lzma.html#specifying-custom-filter-chains>,
//! <https://tukaani.org/xz/xz-file-format.txt>, section 5.3

use liblzma::stream::{Error as Cause, Filters, LzmaOptions, MatchFinder, Mode, PRESET_DEFAULT};
use serde::Deserialize;

use crate::codec::{Configuration, configure};
use crate::error::{Error, Result};

#[derive(Clone, Copy, Debug)]
pub(super) enum Filter {
    /// The compressor, LZMA1 or LZMA2.
    Lzma { is_second: bool, settings: Settings },
    /// Differences of bytes at a distance.
    Delta { distance: u16 },
    /// Addresses in machine code.
    Branch { family: Family, start: u32 },
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Family {
    X86,
    PowerPc,
    Ia64,
    Arm,
    ArmThumb,
    Sparc,
    Arm64,
    RiscV,
}

/// Settings of the compressor. Defaults come from the preset.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    preset: Option<u32>,
    dict_size: Option<u32>,
    lc: Option<u32>,
    lp: Option<u32>,
    pb: Option<u32>,
    mode: Option<u32>,
    nice_len: Option<u32>,
    mf: Option<u32>,
    depth: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Delta {
    #[serde(default = "one")]
    dist: u16,
}

fn one() -> u16 {
    1
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Branch {
    #[serde(default)]
    start_offset: u32,
}

const LZMA1: u64 = 0x4000_0000_0000_0001;
const LZMA2: u64 = 0x21;
const DELTA: u64 = 0x03;

/// Minimum size of the dictionary in bytes.
const SMALLEST: u32 = 4 << 10;
/// Maximum size of the dictionary in bytes.
const LARGEST: u32 = 1536 << 20;

impl Filter {
    /// Returns the compressor with a preset.
    pub(super) fn preset(is_second: bool, preset: u32) -> Result<Self> {
        Settings { preset: Some(preset), ..Settings::default() }.check(is_second)
    }

    /// Reads a filter of the configuration.
    pub(super) fn new(filter: &Configuration) -> Result<Self> {
        let mut filter = filter.clone();
        let id = filter.shift_remove("id").unwrap_or_default();
        let family = match id.as_u64() {
            Some(LZMA1) => return configure::<Settings>(&filter)?.check(false),
            Some(LZMA2) => return configure::<Settings>(&filter)?.check(true),
            Some(DELTA) => {
                let distance = configure::<Delta>(&filter)?.dist;
                if !(1..=256).contains(&distance) {
                    return Err(Error::metadata(format!("dist {distance} is not in 1 to 256")));
                }
                return Ok(Self::Delta { distance });
            }
            Some(4) => Family::X86,
            Some(5) => Family::PowerPc,
            Some(6) => Family::Ia64,
            Some(7) => Family::Arm,
            Some(8) => Family::ArmThumb,
            Some(9) => Family::Sparc,
            Some(10) => Family::Arm64,
            Some(11) => Family::RiscV,
            _ => {
                return Err(Error::metadata(format!(
                    "{id} is not the id of a filter; known are 3 to 11, {LZMA2} and {LZMA1}"
                )));
            }
        };
        Ok(Self::Branch { family, start: configure::<Branch>(&filter)?.start_offset })
    }

    /// Returns the options of the compressor for `size` bytes; `None` for other filters.
    pub(super) fn options(&self, size: usize) -> Option<LzmaOptions> {
        match self {
            Self::Lzma { settings, .. } => settings.options(size).ok(),
            _ => None,
        }
    }

    /// Adds the filter to a list, for `size` bytes.
    pub(super) fn push(&self, size: usize, filters: &mut Filters) -> Result<(), Cause> {
        match *self {
            Self::Lzma { is_second: false, settings } => filters.lzma1(&settings.options(size)?),
            Self::Lzma { is_second: true, settings } => filters.lzma2(&settings.options(size)?),
            Self::Delta { distance } => filters.delta_properties(&[(distance - 1) as u8])?,
            Self::Branch { family, start } => {
                let start = &start.to_le_bytes();
                match family {
                    Family::X86 => filters.x86_properties(start)?,
                    Family::PowerPc => filters.powerpc_properties(start)?,
                    Family::Ia64 => filters.ia64_properties(start)?,
                    Family::Arm => filters.arm_properties(start)?,
                    Family::ArmThumb => filters.arm_thumb_properties(start)?,
                    Family::Sparc => filters.sparc_properties(start)?,
                    Family::Arm64 => filters.arm64_properties(start)?,
                    Family::RiscV => filters.riscv_properties(start)?,
                }
            }
        };
        Ok(())
    }
}

impl Settings {
    fn check(self, is_second: bool) -> Result<Filter> {
        let refused = |member: &str, value: u32| Err(Error::metadata(format!("{member} {value} is not valid")));
        if let Some(size) = self.dict_size.filter(|size| !(SMALLEST..=LARGEST).contains(size)) {
            return refused("dict_size", size);
        }
        if let Some(value) = self.mode.filter(|&value| mode(value).is_none()) {
            return refused("mode", value);
        }
        if let Some(value) = self.mf.filter(|&value| match_finder(value).is_none()) {
            return refused("mf", value);
        }
        if self.options(0).is_err() {
            return refused("preset", self.preset.unwrap_or(PRESET_DEFAULT));
        }
        Ok(Filter::Lzma { is_second, settings: self })
    }

    fn options(&self, size: usize) -> Result<LzmaOptions, Cause> {
        let preset = self.preset.unwrap_or(PRESET_DEFAULT);
        let mut options = LzmaOptions::new_preset(preset)?;
        let dictionary = self.dict_size.unwrap_or_else(|| preset_dictionary(preset));
        options.dict_size(dictionary.min(u32::try_from(size).unwrap_or(LARGEST)).max(SMALLEST));
        self.lc.map(|bits| options.literal_context_bits(bits));
        self.lp.map(|bits| options.literal_position_bits(bits));
        self.pb.map(|bits| options.position_bits(bits));
        self.mode.and_then(mode).map(|mode| options.mode(mode));
        self.nice_len.map(|length| options.nice_len(length));
        self.mf.and_then(match_finder).map(|finder| options.match_finder(finder));
        self.depth.map(|depth| options.depth(depth));
        Ok(options)
    }
}

/// Returns the dictionary size of a preset, whose upper bits are flags.
fn preset_dictionary(preset: u32) -> u32 {
    const POWERS: [u32; 10] = [18, 20, 21, 22, 22, 23, 23, 24, 25, 26];
    1 << POWERS.get((preset & 0x1f) as usize).copied().unwrap_or(26)
}

fn mode(number: u32) -> Option<Mode> {
    match number {
        1 => Some(Mode::Fast),
        2 => Some(Mode::Normal),
        _ => None,
    }
}

fn match_finder(number: u32) -> Option<MatchFinder> {
    match number {
        0x03 => Some(MatchFinder::HashChain3),
        0x04 => Some(MatchFinder::HashChain4),
        0x12 => Some(MatchFinder::BinaryTree2),
        0x13 => Some(MatchFinder::BinaryTree3),
        0x14 => Some(MatchFinder::BinaryTree4),
        _ => None,
    }
}
