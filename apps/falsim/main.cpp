// falsim: the stand-in for fal.ai as a program.
#include <sys/resource.h>

#include <charconv>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "falsim.hpp"

namespace {

using falsim::FalsimOptions;

struct Command {
  FalsimOptions options;
  std::string authority_file;
  std::vector<falsim::Fault> faults;
  bool help = false;
};

/// Takes the value of an option; false: it is not one.
using Setter = std::function<bool(Command&, std::string_view)>;

struct Option {
  std::string_view name;
  std::string_view value;  // empty: none is taken
  std::string_view what;
  Setter set;
};

template <class Number>
bool read(std::string_view text, Number& into) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), into);
  return error == std::errc() && end == text.data() + text.size();
}

bool read_time(std::string_view text, falsim::Milliseconds& into) {
  std::int64_t count = 0;
  if (!read(text, count) || count < 0) return false;
  into = falsim::Milliseconds(count);
  return true;
}

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const std::string_view part = text.substr(0, text.find(','));
    if (!part.empty()) parts.emplace_back(part);
    text.remove_prefix(std::min(text.size(), part.size() + 1));
  }
  return parts;
}

bool read_tls(std::string_view text, falsim::Tls& into) {
  static const std::map<std::string_view, falsim::Tls> words = {
      {"valid", falsim::Tls::valid},
      {"expired", falsim::Tls::expired},
      {"wrong-host", falsim::Tls::wrong_host},
      {"self-signed", falsim::Tls::self_signed}};
  const auto found = words.find(text);
  if (found != words.end()) into = found->second;
  return found != words.end();
}

const std::vector<Option>& all_options() {
  static const std::vector<Option> options = {
      {"--host", "ADDRESS", "listen there (127.0.0.1)",
       [](Command& c, std::string_view v) {
         c.options.host = v;
         return true;
       }},
      {"--port", "N", "of queue, documents, storage and media (0: a free one)",
       [](Command& c, std::string_view v) { return read(v, c.options.port); }},
      {"--run-port", "N", "of fal.run (0: a free one)",
       [](Command& c, std::string_view v) { return read(v, c.options.run_port); }},
      {"--tls", "MODE", "https: valid, expired, wrong-host or self-signed",
       [](Command& c, std::string_view v) { return read_tls(v, c.options.tls); }},
      {"--ca-file", "FILE", "write the authority to trust there, for SSL_CERT_FILE",
       [](Command& c, std::string_view v) {
         c.authority_file = v;
         return !v.empty();
       }},
      {"--keys", "ID:SECRET,...", "the only keys that are good (every well-formed one)",
       [](Command& c, std::string_view v) {
         c.options.keys = split(v);
         return !c.options.keys.empty();
       }},
      {"--slots", "N", "jobs of one key that run at once (no limit)",
       [](Command& c, std::string_view v) { return read(v, c.options.slots_per_key); }},
      {"--queue-time", "MS", "a job waits that long (0)",
       [](Command& c, std::string_view v) { return read_time(v, c.options.queue_time); }},
      {"--job-time", "MS", "a job runs that long (300)",
       [](Command& c, std::string_view v) { return read_time(v, c.options.job_time); }},
      {"--ping", "MS", "between comments on held streams (15000)",
       [](Command& c, std::string_view v) { return read_time(v, c.options.ping_interval); }},
      {"--validate", "WHEN", "refuse bad input at: result (as fal does) or submit",
       [](Command& c, std::string_view v) {
         if (v == "submit") c.options.validation = falsim::Validation::submit;
         return v == "submit" || v == "result";
       }},
      {"--schemas", "DIR", "also serve the documents of that folder, <endpoint with / as __>.json",
       [](Command& c, std::string_view v) {
         c.options.schemas = v;
         return !v.empty();
       }},
      {"--streaming", "ID,...", "models that have fal's own /stream (fal-ai/flux/dev)",
       [](Command& c, std::string_view v) {
         c.options.streaming = split(v);
         return true;
       }},
      {"--picture-bytes", "N", "pad each PNG to that size",
       [](Command& c, std::string_view v) { return read(v, c.options.picture_bytes); }},
      {"--fault", "NAME",
       "let a fault strike, as often as it fits; may be repeated; --faults lists the names",
       [](Command& c, std::string_view v) {
         std::optional<falsim::Fault> fault = falsim::Fault::preset(v);
         if (!fault) return false;
         c.faults.push_back(*std::move(fault));
         return true;
       }},
  };
  return options;
}

void print_help() {
  std::puts("falsim: a stand-in for fal.ai on this machine\n\nUsage: falsim [OPTION VALUE]...\n");
  for (const Option& option : all_options()) {
    const std::string left = std::string(option.name) + " " + std::string(option.value);
    std::printf("  %-24s %s\n", left.c_str(), std::string(option.what).c_str());
  }
  std::puts(
      "  --faults                 list the faults\n"
      "  --help                   this\n\n"
      "While it runs: GET /_falsim/stats and /_falsim/submits, POST and DELETE /_falsim/faults; in "
      "a prompt, the words\n"
      "falsim:NAME, falsim:NAME*TIMES, falsim:job_time=MS and falsim:queue_time=MS.");
}

void print_faults() {
  for (const std::string& name : falsim::Fault::preset_names()) std::puts(name.c_str());
}

/// Fills `command`; false: said why not.
bool read_command(const std::vector<std::string_view>& arguments, Command& command) {
  for (std::size_t i = 0; i < arguments.size(); i += 2) {
    const Option* found = nullptr;
    for (const Option& option : all_options()) {
      if (option.name == arguments[i]) found = &option;
    }
    const bool has_value = i + 1 < arguments.size();
    if (found == nullptr || !has_value || !found->set(command, arguments[i + 1])) {
      const std::string name(arguments[i]);
      const std::string mend =
          found == nullptr ? "is no option; see falsim --help"
                           : "wants " + std::string(found->value) + ": " + std::string(found->what);
      std::fprintf(stderr, "falsim: %s %s\n", name.c_str(), mend.c_str());
      return false;
    }
  }
  return true;
}

void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

int serve(const Command& command) {
  raise_descriptor_limit();
  falproxy::Result<falsim::Falsim> sim = falsim::Falsim::start(command.options);
  if (!sim) {
    std::fprintf(stderr, "falsim: %s\n", sim.error().message.c_str());
    return 2;
  }
  for (const falsim::Fault& fault : command.faults) sim->add_fault(fault);
  if (!command.authority_file.empty()) {
    std::ofstream file(command.authority_file, std::ios::binary);
    if (!(file << sim->authority_pem()).flush()) {
      std::fprintf(stderr, "falsim: %s cannot be written\n", command.authority_file.c_str());
      return 2;
    }
  }
  std::printf("# falsim is ready; lines for falproxy's .env:\n%s", sim->env().c_str());
  if (!command.authority_file.empty())
    std::printf("# in the environment: SSL_CERT_FILE=%s\n", command.authority_file.c_str());
  for (const std::string& endpoint : sim->endpoints())
    std::printf("# model %s\n", endpoint.c_str());
  std::fflush(stdout);
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGINT);
  sigaddset(&ends, SIGTERM);
  int signal = 0;
  sigwait(&ends, &signal);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  // Before any thread starts, so that only sigwait() above receives them.
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGINT);
  sigaddset(&ends, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);

  const std::vector<std::string_view> arguments(argv + 1, argv + argc);
  for (const std::string_view argument : arguments) {
    if (argument == "--help" || argument == "--faults") {
      argument == "--help" ? print_help() : print_faults();
      return 0;
    }
  }
  Command command;
  return read_command(arguments, command) ? serve(command) : 2;
}
