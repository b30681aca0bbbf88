# The daily recipes. `just` alone lists them; each is one line that can be typed without just.

_default:
    @just --list --unsorted

# The MCP server with a stand-in for Google
demo *ARGS:
    cargo run --release -- demo {{ARGS}}

# Everything that CI checks
test:
    ./scripts/test

# The figures, each as a ratio to a baseline in the same run
bench *ARGS:
    cargo bench -p authchain-bench {{ARGS}}

# The documentation of every crate
docs *ARGS:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps {{ARGS}}

# Does it compile?
check:
    cargo check --workspace --all-targets

# Formats, and mends what clippy can mend
fix:
    cargo clippy --workspace --all-targets --fix --allow-dirty --allow-staged
    cargo fmt --all

# Unit and integration tests of one crate: just unit authchain-store
unit CRATE *ARGS:
    cargo test -p {{CRATE}} {{ARGS}}

# End-to-end tests with real clients and a real browser, all or those with this in their name
e2e *NAME:
    ./scripts/test --setup
    cargo test -p authchain-cli --test e2e {{NAME}}

# Feeds a parser of stored bytes with whatever it has not seen yet: just fuzz import_file 60. Needs nightly and cargo-fuzz
fuzz TARGET SECONDS="60":
    mkdir -p target/fuzz/corpus/{{TARGET}}
    cd crates/authchain-store && cargo +nightly fuzz run --target-dir ../../target/fuzz {{TARGET}} ../../target/fuzz/corpus/{{TARGET}} fuzz/inputs/{{TARGET}} -- -max_total_time={{SECONDS}} -max_len=4096

# The pages as a browser shows them, into target/screenshots
screenshots:
    just e2e browser
    @ls target/screenshots
