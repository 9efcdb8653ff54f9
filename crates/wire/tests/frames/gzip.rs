//! Compressed frames: what they unpack to is bounded, however little they weigh.

use std::io::Write as _;

use expect_test::expect;
use flate2::Compression;
use flate2::write::GzEncoder;
use wire::frame::{Codec, Encoding};
use wire::limit::FRAME_BYTES_MAX;

use super::{check, gob, request};

pub(super) const GOB_GZIP: Codec = Codec { encoding: Encoding::Gob, gzip: true };

#[test]
fn a_compressed_frame_costs_no_more_than_the_largest_plain_one() {
    let packed = pack(&gob::whole());
    let of_len = |len| pack(&[gob::whole(), vec![0; len - gob::whole().len()]].concat());
    let mut wrong_sum = packed.clone();
    *wrong_sum.iter_mut().nth_back(5).unwrap() ^= 1;
    let endless_name = [b"\x1f\x8b\x08\x08\0\0\0\0\0\xff".to_vec(), vec![b'n'; 40_000]].concat();
    check(
        GOB_GZIP,
        &[
            ("whole", packed.clone()),
            ("two members", [pack(gob::DEFINITION), pack(gob::VALUE)].concat()),
            ("largest that fits", of_len(FRAME_BYTES_MAX)),
            ("one byte more", of_len(FRAME_BYTES_MAX + 1)),
            ("bomb of 30 MB", pack(&vec![0; 30 << 20])),
            ("bomb of 2,000 members", pack(&[0; 99]).repeat(2000)),
            ("many empty members", pack(b"").repeat(2000)),
            ("too heavy itself", vec![0x1f; FRAME_BYTES_MAX + 1]),
            ("empty", vec![]),
            ("nothing inside", pack(b"")),
            ("not gzip", gob::whole()),
            ("magic only", b"\x1f\x8b".to_vec()),
            ("endless file name", endless_name),
            ("no trailer", packed[..packed.len() - 8].to_vec()),
            ("wrong checksum", wrong_sum),
            ("something behind it", [packed.clone(), b"x".to_vec()].concat()),
        ],
        expect![[r#"
            whole: 1001 send=u1 op=op1 incr=u1_op1 data=[10, 2, 117, 49]
            two members: 1001 send=u1 op=op1 incr=u1_op1 data=[10, 2, 117, 49]
            largest that fits: 1001 send=u1 op=op1 incr=u1_op1 data=[10, 2, 117, 49]
            one byte more: frame is too large
            bomb of 30 MB: frame is too large
            bomb of 2,000 members: frame is too large
            many empty members: gob: frame is cut short
            too heavy itself: frame is too large
            empty: frame is not gzip
            nothing inside: gob: frame is cut short
            not gzip: frame is not gzip
            magic only: frame is not gzip
            endless file name: frame is not gzip
            no trailer: frame is not gzip
            wrong checksum: frame is not gzip
            something behind it: frame is not gzip"#]],
    );
}

#[test]
fn gzip_cut_short_anywhere_is_an_error() {
    let packed = pack(&gob::whole());
    assert_eq!(GOB_GZIP.decode(&packed, FRAME_BYTES_MAX), Ok(request()));
    for len in 0..packed.len() {
        assert!(GOB_GZIP.decode(&packed[..len], FRAME_BYTES_MAX).is_err(), "{len} bytes");
    }
}

pub(super) fn pack(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}
