//! `cargo bench -p workos-transcode [-- NAME [in|out|oracle]]` prints what `codec.rs` measures.
#![expect(clippy::print_stdout, reason = "a program for one developer's terminal")]

mod codec;

use transcode::{Contract, Options};

fn main() {
    let contract = contract();
    let argument = |index: usize| std::env::args().nth(index).filter(|text| !text.starts_with('-'));
    let (only, side) = (argument(1), argument(2));
    println!(
        "{:<22} {:>8} {:>9} {:>9} {:>11} {:>11}",
        "message", "JSON", "in MB/s", "out MB/s", "oracle in", "oracle out"
    );
    for (name, method, json) in codec::cases() {
        if only.as_ref().is_none_or(|only| name.contains(only.as_str())) {
            let codec::Speed { size, inward, outward, oracle_in, oracle_out } =
                codec::measure(&contract, method, &json, side.as_deref());
            println!("{name:<22} {size:>8} {inward:>9.0} {outward:>9.0} {oracle_in:>11.0} {oracle_out:>11.0}");
        }
    }
}

fn contract() -> Contract {
    let here = env!("CARGO_MANIFEST_DIR");
    let folders = [format!("{here}/benches"), format!("{here}/../../proto")];
    let mut compiler = protox::Compiler::new(folders).expect("the folders of this tree");
    compiler.include_imports(true).open_file("bench.proto").expect("it compiles");
    transcode::compile(&compiler.encode_file_descriptor_set(), &Options::default()).expect("it can be served")
}
