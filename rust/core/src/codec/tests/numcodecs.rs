//! Numbers as numcodecs, NumPy and `ml_dtypes` convert them.

use super::array_to_array::{decode, encode, from_hex, named, packer, try_codec};
use crate::codec::Codec;
use crate::codec::array_to_array::number::real::{Real, Wide, cast};
use crate::data_type::DataType;
use crate::float::Format;

/// Returns the FNV-1a hash of bytes.
fn hash<'a>(bytes: impl IntoIterator<Item = &'a u8>) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, step)
}

#[test]
fn small_floats_are_those_of_ml_dtypes() {
    let singles: Vec<f32> = (0..1 << 16)
        .step_by(7)
        .flat_map(|high: u32| [0, 1, 0x7fff, 0x8000, 0x8001].map(|low| f32::from_bits(high << 16 | low)))
        .filter(|number| !number.is_nan() || number.to_bits() >> 22 & 1 == 1)
        .collect();
    let doubles: Vec<f64> =
        singles.iter().map(|number| f64::from(*number)).flat_map(|n| [n, n.next_up(), n.next_down()]).collect();
    // Hashes of the values of all codes (every seventh for two bytes), and of the codes of values.
    for (name, values, from_single, from_double) in [
        ("float16", 0xb0eb_21fb_07bd_a4cb, 0x3f72_781b_be6e_6f71, 0xb459_b105_9530_2d14),
        ("bfloat16", 0x51aa_68ed_8ed6_f14d, 0x3838_c52a_dfb2_1cc4, 0x92ef_3b82_0b8f_d284),
        ("float8_e3m4", 0xf479_36f1_9e54_9625, 0xc021_b8ac_061a_2663, 0xa851_a1d4_e900_1d2f),
        ("float8_e4m3", 0x225e_af47_99a2_7e65, 0x3086_6d01_606a_59e7, 0x61c6_39be_bc56_8467),
        ("float8_e5m2", 0x6c1e_56b6_fb09_c905, 0xbe6b_1bd3_04a2_8e0c, 0x4ae7_136c_7ec6_2ca6),
        ("float8_e4m3fn", 0xdad1_d9c5_0f74_9ca5, 0xa070_ad80_b16b_e38b, 0x927e_b304_2d85_a3df),
        ("float8_e4m3fnuz", 0xf518_51cb_11c6_3018, 0x70d9_08e8_603e_7db2, 0x314f_0205_c9f2_7328),
        ("float8_e4m3b11fnuz", 0xd90d_7a60_0530_d158, 0x5b19_e53d_4559_2caf, 0xdbba_66cd_356a_1e7f),
        ("float8_e5m2fnuz", 0x94ae_6fc4_93d4_9818, 0xc141_6d5e_8ff9_c2ff, 0x3fd8_614f_4b61_e003),
        ("float8_e8m0fnu", 0x6d2c_8b41_c3f0_e5a5, 0x8ba9_2a98_a895_23db, 0xef85_9527_b556_917b),
        ("float6_e2m3fn", 0x2cd6_942b_8460_ed25, 0x794f_5c5a_141a_3bf9, 0x08fa_a718_4075_3141),
        ("float6_e3m2fn", 0xc727_0f06_df89_85a5, 0x93a7_6c17_3092_112d, 0x94a2_e9fc_bd11_e37d),
        ("float4_e2m1fn", 0x00e6_eccc_4e46_9b25, 0x052f_9c45_d77f_4d4c, 0x6429_2309_a385_b282),
    ] {
        let real = Real::Small(Format::of(name).unwrap());
        let bits = named(name).bits() as u32;
        let bytes: Vec<u8> = if real.size() == 1 {
            (0..=255).map(|code: u8| code & (0xff >> (8 - bits))).collect()
        } else {
            (0..=0xffffu16).step_by(7).flat_map(u16::to_ne_bytes).collect()
        };
        let found = real.load(&bytes).f32s();
        let found = found.into_iter().map(|value| if value.is_nan() { f32::from_bits(0x7fc0_0000) } else { value });
        assert_eq!(hash(&found.flat_map(f32::to_le_bytes).collect::<Vec<_>>()), values, "{name}");
        let codes = |numbers: &Wide, count: usize| {
            let mut bytes = vec![0; count * real.size()];
            real.store(numbers, &mut bytes);
            hash(&bytes)
        };
        assert_eq!(codes(&Wide::F32(singles.clone()), singles.len()), from_single, "{name}");
        assert_eq!(codes(&Wide::F64(doubles.clone()), doubles.len()), from_double, "{name}");
    }
}

const FLOATS: [f64; 42] = [
    0.0,
    -0.0,
    0.5,
    -0.5,
    1.5,
    2.5,
    -2.5,
    100.25,
    127.5,
    128.0,
    -128.9,
    -129.0,
    255.9,
    256.0,
    300.7,
    32768.0,
    65504.0,
    65519.0,
    65520.0,
    70000.0,
    -70000.0,
    1e-8,
    6e-8,
    2_147_483_520.0,
    2_147_483_648.0,
    -2_147_483_648.0,
    -3e9,
    3e9,
    4_294_967_040.0,
    4_294_967_296.0,
    1e10,
    -1e10,
    9.2e18,
    9_223_372_036_854_775_808.0,
    1.8e19,
    1.9e19,
    -1e19,
    1e30,
    -1e30,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::NAN,
];
const INTEGERS: [u64; 27] = [
    0,
    1,
    2,
    7,
    127,
    128,
    129,
    255,
    256,
    2047,
    2049,
    4097,
    32767,
    32768,
    65535,
    65537,
    16_777_217,
    33_554_433,
    (1 << 31) - 1,
    1 << 31,
    (1 << 32) - 1,
    (1 << 32) + 5,
    (1 << 53) + 1,
    (1 << 60) + (1 << 36) + 1,
    (1 << 63) - 1,
    1 << 63,
    u64::MAX,
];

#[test]
fn numbers_are_converted_as_numpy_does() {
    let types = DataType::all().filter(|data_type| Real::of(data_type).is_ok_and(Real::is_numpy));
    let types: Vec<_> = types.collect();
    for (name, expected) in [
        ("bool", 0x5cb4_7272_6b4f_c851),
        ("int8", 0x4b83_6e0d_77c3_a554),
        ("int16", 0x09ef_2a71_d7c0_731a),
        ("int32", 0xefb7_8613_307c_036e),
        ("int64", 0xf095_02bf_ae0c_f52a),
        ("uint8", 0x613c_982d_f26b_087a),
        ("uint16", 0x9cea_d9a4_5ace_4a0b),
        ("uint32", 0xef14_a84e_184f_2418),
        ("uint64", 0x1ca3_b146_e324_64b6),
        ("float16", 0x4d3a_cc1e_0b5f_d574),
        ("float32", 0x2ef0_bd20_3489_7bf0),
        ("float64", 0x7f1d_c214_1db7_4468),
    ] {
        let from = Real::of(&named(name)).unwrap();
        let is_float = matches!(from, Real::F32 | Real::F64) || from.is_half();
        let numbers = if is_float { Wide::F64(FLOATS.to_vec()) } else { Wide::U64(INTEGERS.to_vec()) };
        let count = if is_float { FLOATS.len() } else { INTEGERS.len() };
        let mut source = vec![0; count * from.size()];
        from.store(&numbers, &mut source);
        let mut all = Vec::new();
        for to in &types {
            let mut target = vec![0; count * to.size()];
            cast((from, &source), (Real::of(to).unwrap(), &mut target)).unwrap();
            if cfg!(target_endian = "big") {
                target.chunks_exact_mut(to.size()).for_each(<[u8]>::reverse);
            }
            all.extend_from_slice(&target);
        }
        assert_eq!(hash(&all), expected, "{name}");
    }
}

/// A codec and its configuration, elements, their encoding by numcodecs, and its decoding (`=`: the same elements).
#[cfg(target_endian = "little")]
const NUMCODECS: &str = r#"
numcodecs.delta {"dtype": "<i2", "astype": "|i1"}
    int16 6400660068005a0000009cffe2ff
    640202f2a69c46
    =
numcodecs.delta {"dtype": "|u1"}
    uint8 05fa03ff00
    05f509fc01
    =
numcodecs.delta {"dtype": "<i4", "astype": "<u2"}
    int32 70110100ffffffff05000000ffffff7f00000080
    70118fee0600faff0100
    70110000ffff000005000100ffff010000000200
numcodecs.delta {"dtype": "<i8", "astype": "<u8"}
    int64 0300000000000000fbffffffffffffff000000000000004000000000000000c0
    0300000000000000f8ffffffffffffff05000000000000400000000000000080
    0300000000000000000000000000008000000000000000800000000000000080
numcodecs.delta {"dtype": "<f4"}
    float32 cdcccc3d0000803ef90215d00000803f9976967ee6b161ff00004040
    cdcccc3d9a99193ef90215d0f90215509976967e000080ffe6b1617f
    cdcccc3d0000803ef90215d0000000009976967e000080ff000080ff
numcodecs.delta {"dtype": "<f2"}
    float16 662e006800c7e2709a42
    662e006804e8e370e2f0
    662e006800c8e2700000
numcodecs.delta {"dtype": "<f8", "astype": "<f4"}
    float64 9a9999999999b93f666666666666e63f0000000065cdcd410000000000000440
    cdcccc3d9a99193f286b6e4e286b6ece
    000000a09999b93f000000746666e63f9a99590065cdcd41000000806666e63f
numcodecs.delta {"dtype": "<f4", "astype": "<i2"}
    float32 0000c03f9a9979406666e6c00000c842
    01000200f5ff6b00
    0000803f00004040000000c10000c642
numcodecs.delta {"dtype": "<i4", "astype": "<f2"}
    int32 01000000881300000300000090eefeff
    003ce26ce1ec00fc
    01000000891300000500000000000080
numcodecs.delta {"dtype": "<u2", "astype": "<f2"}
    uint16 01008813030060ea
    003ce26c647b537b
    01008913090069ea
numcodecs.fixedscaleoffset {"offset": 1000, "scale": 10, "dtype": "<f8", "astype": "|u1"}
    float64 0000000000408f400000000000428f406666666666408f403333333333418f400000000000388f40fbcbeec9c3a28f4000000000000016c0000000000000f87f000000000000f07f000000000000f0ff9c7500883ce4377e
    00020001f67bb900000000
    0000000000408f409a99999999418f400000000000408f40cdcccccccc408f4066666666660290406666666666a28f400000000000d48f400000000000408f400000000000408f400000000000408f400000000000408f40
numcodecs.fixedscaleoffset {"offset": 1000, "scale": 10, "dtype": "<f8", "astype": "<i4"}
    float64 0000000000408f400000000000428f406666666666408f403333333333418f400000000000388f40fbcbeec9c3a28f4000000000000016c0000000000000f87f000000000000f07f000000000000f0ff9c7500883ce4377e
    00000000020000000000000001000000f6ffffff7b000000b9d8ffff00000080000000800000008000000080
    0000000000408f409a99999999418f400000000000408f40cdcccccccc408f400000000000388f406666666666a28f4000000000000016c09a9999c99199a9c19a9999c99199a9c19a9999c99199a9c19a9999c99199a9c1
numcodecs.fixedscaleoffset {"offset": 1000.5, "scale": 0.1, "dtype": "<f4", "astype": "<i2"}
    float32 00007a4400107a4433037a449a097a4400c079441e167d440000b0c00000c07f0000807f000080ff0000807f
    0000000000000000000001009bff0000000000000000
    00207a4400207a4400207a4400207a4400207a4400a07c44000018c100207a4400207a4400207a4400207a44
numcodecs.fixedscaleoffset {"offset": 0.1, "scale": 3, "dtype": "<f2", "astype": "<f2"}
    float16 d063d063d063d063ce63e96380c5007e007c00fc
    dc69dc69dc69dc69da69ef6940cc007e007c00fc
    d063d063d063d063cd63e96391c5007e007c00fc
numcodecs.fixedscaleoffset {"offset": 0.1, "scale": 3, "dtype": "<f2", "astype": "<u4"}
    float16 d063d063d063d063ce63e96380c5007e007c00fc
    b80b0000b80b0000b80b0000b80b0000b40b0000de0b0000efffffff000000000000000000000000
    d063d063d063d063ce63ea63007c662e662e662e
numcodecs.fixedscaleoffset {"offset": -7, "scale": 3, "dtype": "<f4", "astype": "<u8"}
    float32 00007a4400107a4433037a449a097a4400c079441e167d440000b0c00000c07f0000807f000080ff0000807f
    cd0b000000000000ce0b000000000000cd0b000000000000cd0b000000000000ca0b000000000000f20b00000000000004000000000000000000000000000080000000000000000000000000000000800000000000000000
    00007a4455157a4400007a4400007a4400c0794455157d445555b5c0abaa2a5e0000e0c0abaa2a5e0000e0c0
numcodecs.fixedscaleoffset {"offset": 10, "scale": 2, "dtype": "|i1", "astype": "<i2"}
    int8 0001649c7f80050506
    ecffeeffb4ff2400eaffecfff6fff6fff8ff
    0001e41cff00050506
numcodecs.fixedscaleoffset {"offset": 10, "scale": 2, "dtype": "<u4", "astype": "<i8"}
    uint32 00000000050000000a000000ffffffff
    ecffffff00000000f6ffffff000000000000000000000000eaffffff00000000
    00000080050000800a000000ffffff7f
numcodecs.fixedscaleoffset {"offset": 10, "scale": 0.3, "dtype": "|i1", "astype": "|i1"}
    int8 0001649c7f80050506
    fdfd1bdf2323fefeff
    0000649c7e7e030306
numcodecs.fixedscaleoffset {"offset": 10.5, "scale": 2, "dtype": "<i4"}
    int32 0000000005000000f9ffffffffffff7f
    ebfffffff5ffffffddffffff00000080
    0000000005000000f9ffffff0b0000c0
numcodecs.fixedscaleoffset {"offset": 2, "scale": 3, "dtype": "|b1", "astype": "<i2"}
    bool 000101
    fafffdfffdff
    =
numcodecs.fixedscaleoffset {"offset": 0, "scale": 0, "dtype": "<f4", "astype": "<i2"}
    float32 000000000000803f000080bf
    000000000000
    0000c0ff0000c0ff0000c0ff
numcodecs.quantize {"digits": 2, "dtype": "<f8", "astype": "<f4"}
    float64 0000000000408f400000000000428f406666666666408f403333333333418f400000000000388f40fbcbeec9c3a28f4000000000000016c0000000000000f87f000000000000f07f000000000000f0ff9c7500883ce4377e
    00007a4400107a4400037a4480097a4400c0794400167d440000b0c00000c07f0000807f000080ff0000807f
    0000000000408f400000000000428f400000000060408f400000000030418f400000000000388f4000000000c0a28f4000000000000016c0000000000000f87f000000000000f07f000000000000f0ff000000000000f07f
numcodecs.quantize {"digits": 0, "dtype": "<f4"}
    float32 00007a4400107a4433037a449a097a4400c079441e167d440000b0c00000c07f0000807f000080ff0000807f
    00007a4400007a4400007a4400007a4400c0794400007d440000c0c00000c07f0000807f000080ff0000807f
    00007a4400007a4400007a4400007a4400c0794400007d440000c0c00000c07f0000807f000080ff0000807f
numcodecs.quantize {"digits": -2, "dtype": "<f8", "astype": "<f2"}
    float64 0000000000408f400000000000428f406666666666408f403333333333418f400000000000388f40fbcbeec9c3a28f4000000000000016c0000000000000f87f000000000000f07f000000000000f0ff9c7500883ce4377e
    0064006400640064006400640080007e007c00fc007c
    0000000000009040000000000000904000000000000090400000000000009040000000000000904000000000000090400000000000000080000000000000f87f000000000000f07f000000000000f0ff000000000000f07f
numcodecs.quantize {"digits": 5, "dtype": "<f2", "astype": "<f8"}
    float16 d063d063d063d063ce63e96380c5007e007c00fc
    000000000000f8ff000000000000f8ff000000000000f8ff000000000000f8ff000000000000f8ff000000000000f8ff000000000000f8ff000000000000f87f000000000000f8ff000000000000f8ff
    00fe00fe00fe00fe00fe00fe00fe007e00fe00fe
numcodecs.quantize {"digits": 7, "dtype": "<f8"}
    float64 84e94637dd9abf3f2b69a4292b1b60be0000000000001440
    00000000dd9abf3f00000000000070be0000000000001440
    00000000dd9abf3f00000000000070be0000000000001440
numcodecs.astype {"encode_dtype": "<f4", "decode_dtype": "<f8"}
    float64 0000000000408f400000000000428f406666666666408f403333333333418f400000000000388f40fbcbeec9c3a28f4000000000000016c0000000000000f87f000000000000f07f000000000000f0ff9c7500883ce4377e
    00007a4400107a4433037a449a097a4400c079441e167d440000b0c00000c07f0000807f000080ff0000807f
    0000000000408f400000000000428f400000006066408f400000004033418f400000000000388f40000000c0c3a28f4000000000000016c0000000000000f87f000000000000f07f000000000000f0ff000000000000f07f
numcodecs.astype {"encode_dtype": "|i1", "decode_dtype": "<i8"}
    int64 0100000000000000ffffffffffffffff2c010000000000000000000000ffffff
    01ff2c00
    0100000000000000ffffffffffffffff2c000000000000000000000000000000
numcodecs.astype {"encode_dtype": "|b1", "decode_dtype": "<f4"}
    float32 00000000000000800000003f0000c07f
    00000101
    00000000000000000000803f0000803f
numcodecs.bitround {"keepbits": 3}
    float32 cdcccc3d9a99993fcdcc4441cdccf6c200509a4400000000000000800000807f000080ff0000c07f00e07f47
    0000d03d0000a03f000040410000f0c20000a04400000000000000800000807f000080ff0000c07f00008047
    0000d03d0000a03f000040410000f0c20000a04400000000000000800000807f000080ff0000c07f00008047
numcodecs.bitround {"keepbits": 0}
    float32 cdcccc3d9a99993fcdcc4441cdccf6c200509a4400000000000000800000807f000080ff
    0000003e0000803f00008041000000c30000804400000000000000800000807f000080ff
    0000003e0000803f00008041000000c30000804400000000000000800000807f000080ff
numcodecs.bitround {"keepbits": 23}
    float32 cdcccc3d9a99993fcdcc4441cdccf6c200509a4400000000000000800000807f000080ff0000c07f00e07f47
    cdcccc3d9a99993fcdcc4441cdccf6c200509a4400000000000000800000807f000080ff0000c07f00e07f47
    =
numcodecs.bitround {"keepbits": 10}
    float64 9a9999999999b93f333333333333f33f9a999999999928409a99999999d95ec000000000004a934000000000000000000000000000000080000000000000f07f000000000000f0ff000000000000f87f0000000000fcef40
    000000000098b93f000000000034f33f00000000009828400000000000d85ec0000000000048934000000000000000000000000000000080000000000000f07f000000000000f0ff000000000000f87f0000000000fcef40
    000000000098b93f000000000034f33f00000000009828400000000000d85ec0000000000048934000000000000000000000000000000080000000000000f07f000000000000f0ff000000000000f87f0000000000fcef40
numcodecs.bitround {"keepbits": 51}
    float64 9a9999999999b93f333333333333f33f9a999999999928409a99999999d95ec000000000004a934000000000000000000000000000000080000000000000f07f000000000000f0ff000000000000f87f0000000000fcef40
    9a9999999999b93f343333333333f33f9a999999999928409a99999999d95ec000000000004a934000000000000000000000000000000080000000000000f07f000000000000f0ff000000000000f87f0000000000fcef40
    9a9999999999b93f343333333333f33f9a999999999928409a99999999d95ec000000000004a934000000000000000000000000000000080000000000000f07f000000000000f0ff000000000000f87f0000000000fcef40
numcodecs.bitround {"keepbits": 4}
    float16 662ecd3c264ab6d7d26400000080007c00fc007eff7b
    802ec03c404ac0d7c06400000080007c00fc007e007c
    802ec03c404ac0d7c06400000080007c00fc007e007c
numcodecs.packbits {}
    bool 01000001
    0490
    =
numcodecs.packbits {}
    bool 0100000101010000
    009c
    =
numcodecs.packbits {}
    bool 0101010101010101010001
    05ffa0
    =
"#;

#[test]
#[cfg(target_endian = "little")]
fn numcodecs_makes_the_same_bytes() {
    let lines: Vec<&str> = NUMCODECS.trim().lines().map(str::trim).collect();
    for case in lines.chunks(4) {
        let shown = format!("{} {}", case[0], case[1]);
        let (name, configuration) = case[0].split_once(' ').unwrap();
        let (data_type, decoded) = case[1].split_once(' ').unwrap();
        let (data_type, decoded, encoded) = (named(data_type), from_hex(decoded), from_hex(case[2]));
        let again = if case[3] == "=" { decoded.clone() } else { from_hex(case[3]) };
        if let Codec::ArrayToArray(codec) = try_codec(name, configuration, &data_type).unwrap() {
            let count = decoded.len() / data_type.size();
            assert_eq!(encode(&*codec, &decoded, count).unwrap(), encoded, "{shown}");
            assert_eq!(decode(&*codec, &encoded, again.len()).unwrap(), again, "{shown}");
        } else {
            let (codec, shape) = (packer(name, configuration, &data_type), [decoded.len() as u64]);
            let (mut bytes, mut back) = (Vec::new(), vec![0; decoded.len()]);
            codec.encode(&decoded, &shape, &mut bytes).unwrap();
            codec.decode(&encoded, &shape, &mut back).unwrap();
            assert_eq!((bytes, back), (encoded, again), "{shown}");
        }
    }
}
