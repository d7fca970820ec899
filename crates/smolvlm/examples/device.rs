//! Lists the devices of this build and machine and runs on a chosen one:
//! `cargo run -p smolvlm --example device --features demo,wgpu -- [DEVICE] [DTYPE]`.

use smolvlm::{Device, Dtype, Error, Message, Options, SmolVlm, Source, devices};

fn main() -> Result<(), Error> {
    for info in devices() {
        println!("{}: {}", info.device, info.name);
    }
    let mut arguments = std::env::args().skip(1);
    let device = arguments.next().map_or(Ok(Device::Auto), |text| text.parse())?;
    let dtype = arguments.next().map_or(Ok(Dtype::Auto), |text| text.parse())?;
    let model = SmolVlm::load(Source::Demo, Options { device, dtype, ..Options::default() })?;
    println!("on {} in {}", model.device().device, model.format());
    for skipped in model.skipped_devices() {
        println!("not on a device that comes first: {skipped}");
    }
    let answer = model.chat([Message::user().image("tests/corpus/world/sign.png").text("Read the sign.")])?;
    println!("{}", answer.text());
    Ok(())
}
