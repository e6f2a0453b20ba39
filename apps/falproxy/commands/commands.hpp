// commands.hpp: what `falproxy COMMAND` does. Each function returns the exit status.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "commands/command_line.hpp"
#include "commands/surroundings.hpp"
#include "falproxy/transport.hpp"

namespace falproxy::app {

class Service;
class Signals;

/// Serves until SIGTERM or SIGINT; SIGHUP reads the configuration again.
[[nodiscard]] int serve(const CommandLine& line);

/// falproxy over the bundled stand-in for fal, and one picture made through it: demo.png in the
/// working directory. Serves until Ctrl-C unless `line.once`.
[[nodiscard]] int demo(const CommandLine& line);

/// Stops and destroys it. Where that takes longer than `grace` and Service::longest_end, whatever
/// hangs, the process ends then; with a second signal it ends at once.
void stop_or_be_ended(std::unique_ptr<Service> service, const Signals& signals, Seconds grace);

// The others return not_understood if the settings are wrong, or a file cannot be read.

/// Asks for a fal key, which is not shown and which fal must take, and for models from fal's own
/// list, checks the settings as run_check() does, and writes them to a file if they have no fault.
/// A file that is there stays, but with --force. ExitStatus::fault: nothing was chosen, the check
/// found a fault, or the answers ended; nothing was written then.
[[nodiscard]] int run_init(const CommandLine& line, const Surroundings& surroundings);

/// What somebody who begins is told, in five lines. `faults`: of the settings; empty: it is not the
/// first run, since AI_KEYS or SUPPORTED_MODELS is there.
[[nodiscard]] std::string first_run_text(const std::vector<SettingsFault>& faults);

/// Settings, documents and keys, with the mend for each fault. Costs nothing at fal: documents are
/// fetched, and each key asks for the status of a request that does not exist. Wrong settings are
/// ExitStatus::fault here.
[[nodiscard]] int run_check(const CommandLine& line, const Surroundings& surroundings);

/// What a request becomes, without a job; ExitStatus::fault where it would be refused. With
/// `--schema` or `--endpoint` the three settings that are needed may be absent.
[[nodiscard]] int run_explain(const CommandLine& line, const Surroundings& surroundings);

/// What the configured models take; with `--edits`, which of them edit images and through which
/// input, and why the others do not. ExitStatus::fault where a document cannot be had.
[[nodiscard]] int run_models(const CommandLine& line, const Surroundings& surroundings);

/// `models --profile DIR`: what is made of the documents in a folder, without settings: those that
/// make pictures, videos, sounds or transcripts, and after them what is not understood, and why.
[[nodiscard]] int run_profiles(const CommandLine& line, const Surroundings& surroundings);

/// The asynchronous requests of the server on this machine: all, or one until its end, or its end.
/// ExitStatus::fault: the server says no, or the one that was followed brought nothing.
[[nodiscard]] int run_jobs(const CommandLine& line, const Surroundings& surroundings);

/// What was spent, as the server on this machine tells it: with ADMIN_KEY of all keys.
/// ExitStatus::fault: it does not answer, or refuses.
[[nodiscard]] int run_usage(const CommandLine& line, const Surroundings& surroundings);

/// What the server on this machine that listens on `host` and `port` answers at /health, over a
/// connection of its own. Errors: it does not answer until `deadline`, or not 200.
[[nodiscard]] Result<std::string> ask_health(Transport& transport, const std::string& host,
                                             std::uint16_t port, TimePoint deadline);

/// Why nothing at all comes from there until `deadline`; empty: there is an answer, whatever it is.
[[nodiscard]] std::string why_silent(Transport& transport, const std::string& host,
                                     std::uint16_t port, TimePoint deadline);

/// Does the server on this machine answer? ExitStatus::fault: no answer to GET /health, or not 200.
[[nodiscard]] int run_health(const CommandLine& line, const Surroundings& surroundings);

}  // namespace falproxy::app
