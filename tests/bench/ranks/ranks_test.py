#!/usr/bin/env python3
"""flopledger-mpi under a launcher: ranks_test.py FLOPLEDGER_MPI FLOPLEDGER GOLDEN CASE [LAUNCHER]. Exit
code 77 says that there is no launcher."""

import csv
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

MPI, ALONE, GOLDEN = (pathlib.Path(path).resolve() for path in sys.argv[1:4])
TINY = GOLDEN / "gpt2-tiny" / "config.json"  # 4 heads
PATIENCE = 200  # seconds after which a launch that should end has not


def launcher():
    mpirun = shutil.which(sys.argv[5] if len(sys.argv) > 5 else "mpirun")
    if not mpirun:
        print("skipped: no mpirun")
        sys.exit(77)
    version = subprocess.run([mpirun, "--version"], capture_output=True, text=True).stdout
    return [mpirun, "-q", "--oversubscribe", "--bind-to", "none"] if "Open MPI" in version else [mpirun]


def environment(folder, **more):
    return os.environ | {
        "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "OMPI_MCA_rmaps_base_oversubscribe": "1", "XDG_CACHE_HOME": f"{folder}/cache",
        "ASAN_OPTIONS": "detect_leaks=0",  # MPI's own
        "OMP_WAIT_POLICY": "passive"} | more


def launch(folder, ranks, *words, **more):
    return subprocess.run([*launcher(), "-n", str(ranks), MPI, *map(str, words)],
                          capture_output=True, text=True, timeout=PATIENCE,
                          env=environment(folder, **more), cwd=folder)


def start(folder, ranks, *words, **more):
    return subprocess.Popen([*launcher(), "-n", str(ranks), MPI, *map(str, words)],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            env=environment(folder, **more), cwd=folder)


def our_lines(text):
    return [line for line in text.splitlines() if line.startswith("flopledger")]


def expect(what, text=""):
    if not what:
        raise AssertionError(text)


def check_logits(folder, name, ranks):
    golden = GOLDEN / name
    done = launch(folder, ranks, "logits", "--model", golden / "config.json", "--weights",
                  golden / "model.safetensors", "--tokens", golden / "tokens.json", "-t", 1,
                  "--format", "csv")
    expect(done.returncode == 0, done.stderr)
    found = [[float(x) for x in row] for row in csv.reader(done.stdout.splitlines())]
    wanted = [[float(x) for x in row] for row in csv.reader(open(golden / "logits.csv"))]
    expect(len(found) == len(wanted) and len(found) > 0, "another number of rows")
    for ours, theirs in zip(found, wanted):
        expect(len(ours) == len(theirs), "another number of columns")
        largest = max(map(abs, theirs))
        worst = max(abs(a - b) for a, b in zip(ours, theirs))
        expect(worst <= 1e-4 * largest, f"{name} by {ranks} ranks: {worst} of {largest}")


def logits(folder):
    """Models of several kinds, heads that do not divide, keys that are replicated."""
    for ranks in (2, 3, 4):
        check_logits(folder, "gpt2-tiny", ranks)
    check_logits(folder, "llama-tiny", 3)
    check_logits(folder, "gpt-neox-tiny", 2)
    check_logits(folder, "gemma-tiny", 4)


def rows_of(path):
    ledger = json.loads(pathlib.Path(path).read_text())
    return ledger, {row["op"]: row for row in ledger["rows"]}


def ledger(folder):
    """A run's ledger: the FLOPs of one process and the reductions, counted."""
    words = ["run", "--model", TINY, "-t", 1, "-r", 2, "--benchmark_min_time=0.001", "--convention",
             "all", "--count", "full", "-p", 16, "--batch", 2]
    alone = subprocess.run([ALONE, *map(str, words), "--json", f"{folder}/1.json"], text=True,
                           capture_output=True, env=environment(folder))
    expect(alone.returncode in (0, 1), alone.stderr)
    _, one = rows_of(f"{folder}/1.json")
    width = one["attention_out"]["n"]
    layers = one["total"]["layers_run"]
    for ranks in (2, 3, 4):
        path = f"{folder}/{ranks}.json"
        done = launch(folder, ranks, *words, "--json", path, "--trace", f"{folder}/trace.json")
        expect(done.returncode in (0, 1), done.stderr)  # 1: above the peak, on a busy machine
        document, rows = rows_of(path)
        total = rows["total"]
        expect(total["ranks"] == ranks and document["environment"]["ranks"]["ranks"] == ranks)
        expect(len(document["environment"]["ranks"]["hosts"]) == ranks)
        expect(total["imbalance"] >= 1, "the slowest is no faster than the mean")
        reduced = 0
        for op in ("attention_all_reduce", "ffn_all_reduce"):
            expect(rows[op]["kind"] == "all_reduce" and rows[op]["time_s"] > 0)
            expect(rows[op]["bytes"] > 0)
            reduced += rows[op]["predicted_flops"]
        # Recursive doubling: 2 ranks add once each, 3 once more, 4 twice each.
        additions = {2: 2, 3: 3, 4: 8}[ranks] * 32 * width
        expect(reduced == 2 * layers * additions, f"{reduced} additions by {ranks} ranks")
        replicated = sum(row["predicted_flops"] for row in one.values()
                         if row["kind"] in ("embedding", "norm", "residual"))
        predicted = one["total"]["predicted_flops"] + reduced + (ranks - 1) * replicated
        expect(total["predicted_flops"] == predicted,
               f"{total['predicted_flops']} is not {predicted}")
        for row in rows.values():
            expect(row["flops_source"] == "counted", row["op"])
            expect(row["measured_flops"] == row["executed_flops"], row["op"])
        splits = document["environment"]["ranks"]["collectives"]
        expect([split["op"] for split in splits] == ["attention_all_reduce", "ffn_all_reduce"])
        events = json.loads(pathlib.Path(f"{folder}/trace.json").read_text())["traceEvents"]
        expect({event["pid"] for event in events} == set(range(1, ranks + 1)))
        products = [event for event in events if event.get("cat") == "operation"
                    and event["name"] == "ffn_up"]
        expect({event["pid"] for event in products} == set(range(1, ranks + 1)))
        expect(all(event["args"]["pct_peak"] > 0 for event in products), "the share of the peak")


def decode(folder):
    path = f"{folder}/d.json"
    done = launch(folder, 2, "run", "--model", TINY, "-t", 1, "-r", 2, "-p", 8, "--decode", 4,
                  "--benchmark_min_time=0.001", "--json", path, "--count", "off")
    expect(done.returncode in (0, 1), done.stderr)
    document, _ = rows_of(path)
    figures = document["environment"]["decode"]
    expect(figures["tokens"] == 4)
    expect("attention_all_reduce" in [op["op"] for op in figures["operations"]])


def refused(folder):
    """What cannot be run gives one line, once, and its exit code."""
    for words, code, says in (
            (["run", "--model", TINY], 2, "ranks must be from 1 to its 4 query heads, found 5"),
            (["logits", "--model", TINY, "--weights", "none", "--tokens",
              GOLDEN / "gpt2-tiny/tokens.json"], 2, "4 query heads"),
            (["run", "--model", "gpt-2"], 2, "gpt-2"),
            (["run", "--wrong"], 2, "--wrong")):
        done = launch(folder, 5, *words)
        expect(done.returncode == code, f"{words}: exit code {done.returncode}")
        lines = our_lines(done.stderr)
        expect(len(lines) == 1 and says in lines[0], done.stderr)
        expect(done.stdout == "", done.stdout)
    done = launch(folder, 2, "run", "--model", TINY, "--max-memory", "1MB", "-t", 1)
    expect(done.returncode == 5 and len(our_lines(done.stderr)) == 1, done.stderr)
    expect("rank 0: " in done.stderr, done.stderr)
    done = launch(folder, 2, "run", "--model", TINY, "-t", 1, "--json", "/none/x.json")
    expect(done.returncode == 2 and len(our_lines(done.stderr)) == 1, done.stderr)
    expect("flopledger-mpi: rank 0 of 2 on " in done.stderr, "the first rank alone failed")
    done = launch(folder, 2, "run", "--model", TINY, FLOPLEDGER_RANK_TIMEOUT="soon")
    expect(done.returncode == 2 and len(our_lines(done.stderr)) == 1, done.stderr)
    expect("FLOPLEDGER_RANK_TIMEOUT must be seconds above 0" in done.stderr, done.stderr)
    done = launch(folder, 2, "calibrate", "--out", f"{folder}/none.json")
    expect(done.returncode == 5 and "no calibration to add collectives to" in done.stderr,
           done.stderr)
    expect(not pathlib.Path(f"{folder}/none.json").exists())
    done = launch(folder, 2, "account", "--model", "gpt2", "--format", "csv")
    expect(done.returncode == 0 and done.stdout.count("weights") <= 2, done.stdout)


def configured(folder):
    """Options before the command leave it one that all ranks share."""
    config = pathlib.Path(f"{folder}/config.toml")
    config.write_text("[run]\ncontext = 8\n")
    done = launch(folder, 2, "--config", config, "run", "--model", TINY, "-t", 1, "-r", 1,
                  "--benchmark_min_time=0.001", "--count", "off", "--format", "csv")
    expect(done.returncode in (0, 1), done.stderr)
    expect([row["ranks"] for row in csv.DictReader(done.stdout.splitlines())][:1] == ["2"],
           done.stdout)


def differing(folder):
    """Ranks whose hosts have other defaults are told so by one line."""
    part = ["-n", "1", "env", "FLOPLEDGER_BATCH={}", MPI, "run", "--model", TINY, "-p", 8, "-t", 1]
    words = [str(word) for word in part]
    line = [*launcher(), *(w.format(1) for w in words), ":", *(w.format(2) for w in words)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=PATIENCE,
                          env=environment(folder))
    expect(done.returncode == 2, f"exit code {done.returncode}: {done.stderr}")
    lines = our_lines(done.stderr)
    expect(len(lines) == 1, done.stderr)
    expect("rank 1 runs other settings than rank 0: batch 2, and rank 0 batch 1" in lines[0],
           done.stderr)


def tables(folder):
    """Every table says of whose seconds it is."""
    words = ["run", "--model", TINY, "-t", 1, "-r", 1, "--benchmark_min_time=0.001", "--count",
             "off"]
    for more in (["-p", 8], ["-p", "8,16"], ["-p", 8, "--matmul", "packed,reference"]):
        done = launch(folder, 2, *words, *more)
        expect(done.returncode in (0, 1), done.stderr)
        expect(done.stdout.count("2 ranks on 1 host: seconds are the slowest rank's") == 1,
               done.stdout)


def other_launcher(folder):
    """Started by another MPI's launcher every process would take itself for the only one."""
    variables = {"PMI_SIZE": "2", "PMI_RANK": "{}"}
    if "-q" not in launcher():  # MPICH's own variables it believes
        variables = {"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "{}"}
    for rank, says in ((0, 1), (1, 0)):
        told = {name: value.format(rank) for name, value in variables.items()}
        done = subprocess.run([MPI, "presets"], capture_output=True, text=True, timeout=PATIENCE,
                              env=environment(folder, **told))
        expect(done.returncode == 2 and done.stdout == "", done.stdout + done.stderr)
        lines = our_lines(done.stderr)
        expect(len(lines) == says, done.stderr)
        expect(all("another MPI's launcher" in line for line in lines), done.stderr)


def one_fails(folder):
    """A rank that fails alone ends all, and is named."""
    golden = GOLDEN / "gpt2-tiny"
    words = ["logits", "--model", TINY, "--tokens", golden / "tokens.json", "-t", "1", "--weights"]
    line = [*launcher(), "-n", "1", MPI, *map(str, words), str(golden / "model.safetensors"), ":",
            "-n", "1", MPI, *map(str, words), f"{folder}/none.safetensors"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=PATIENCE,
                          env=environment(folder))
    expect(done.returncode != 0, "exit code 0")
    lines = our_lines(done.stderr)
    expect(len(lines) == 1, done.stderr)
    expect(lines[0].startswith("flopledger-mpi: rank 1 of 2 on ") and "none.safetensors" in lines[0],
           done.stderr)
    expect(done.stdout == "", "logits were printed")


def ranks_of(process):
    """Process ids of the ranks under a launcher, by rank."""
    found = {}
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if os.readlink(entry / "exe") != os.path.realpath(MPI):
                continue
            variables = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        values = dict(v.split(b"=", 1) for v in variables if b"=" in v)
        rank = values.get(b"OMPI_COMM_WORLD_RANK", values.get(b"PMI_RANK"))
        if rank is not None and values.get(b"FLOPLEDGER_TEST_RUN") == str(os.getpid()).encode():
            found[int(rank)] = int(entry.name)
    return found


def long_run(folder, **more):
    """A run that would take long, and has finished at least one repetition."""
    path = pathlib.Path(f"{folder}/long.json")
    process = start(folder, 3, "run", "--model", TINY, "-t", 1, "-r", 100000,
                    "--benchmark_min_time=0.001", "--count", "off", "--json", path,
                    FLOPLEDGER_TEST_RUN=str(os.getpid()), **more)
    end = time.time() + PATIENCE
    while not path.exists() and time.time() < end:
        time.sleep(0.05)
    expect(path.exists(), "no repetition was finished")
    return process, path


def killed(folder):
    """A rank that is killed ends all; what is on disk is whole."""
    process, path = long_run(folder)
    os.kill(ranks_of(process)[1], signal.SIGKILL)
    process.communicate(timeout=PATIENCE)
    expect(process.returncode != 0, "exit code 0")
    document, rows = rows_of(path)
    expect(rows["total"]["repetitions"] >= 1)
    expect([p.name for p in pathlib.Path(folder).glob("long*")] == ["long.json"], "a part is left")
    time.sleep(1)
    expect(not ranks_of(process), "a rank is left")


def interrupted(folder):
    """A launcher that signals all ranks: the first ends the run, with what was finished."""
    process, path = long_run(folder)
    for pid in ranks_of(process).values():
        os.kill(pid, signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    expect(process.returncode == 3, f"exit code {process.returncode}: {err}")
    expect("flopledger: interrupted: the ledger holds the" in err, err)
    expect(rows_of(path)[1]["total"]["repetitions"] >= 1)


def lost_at_the_end(folder):
    """A rank that does not end when the first is done is named, and all end."""
    words = [*launcher(), "-n", "1", "env", "FLOPLEDGER_RANK_TIMEOUT=2", MPI, "presets", ":",
             "-n", "1", MPI, "run", "--model", TINY, "-t", 1]
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True,
                          timeout=PATIENCE, env=environment(folder))
    expect(done.returncode != 0, "exit code 0")
    lines = our_lines(done.stderr)
    expect("in 2 s there was no word from rank 1: " in lines[-1], done.stderr)


def silent(folder):
    """A rank that answers no more ends all within the time-out; finished repetitions are kept."""
    process, path = long_run(folder, FLOPLEDGER_RANK_TIMEOUT="2")
    stopped = ranks_of(process)[2]
    os.kill(stopped, signal.SIGSTOP)
    began = time.time()
    try:
        _, err = process.communicate(timeout=PATIENCE)
    finally:
        try:
            os.kill(stopped, signal.SIGKILL)
        except ProcessLookupError:
            pass
    expect(process.returncode != 0, "exit code 0")
    lines = our_lines(err)
    expect(len(lines) == 1 and "rank 0 of 3 on " in lines[0], err)
    expect("waited 2 s for rank" in lines[0] and lines[0].endswith("; no word from rank 2"), err)
    _, rows = rows_of(path)
    expect(rows["total"]["repetitions"] >= 1)
    print(f"ended after {time.time() - began:.1f} s")


CASES = {case.__name__: case
         for case in (logits, ledger, decode, tables, configured, refused, differing, one_fails,
                      other_launcher, killed, interrupted, silent, lost_at_the_end)}


def main():
    launcher()
    with tempfile.TemporaryDirectory(prefix="fl") as folder:
        CASES[sys.argv[4]](folder)


main()
