//! Prints what the network of one file comes to through either door.

mod built {
    cnn_runtime::include_model!("net_v1");
}

mod inline {
    cnn_runtime::cnn!("my models/net v1.cnn");
}

fn main() {
    println!("{} {}", built::Net::PARAMS, inline::Net::PARAMS);
}
