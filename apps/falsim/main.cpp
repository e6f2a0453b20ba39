// falsim: the stand-in for fal.ai as a program.
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "falproxy/suggest.hpp"
#include "falsim.hpp"

namespace {

struct Command {
  falsim::FalsimOptions options;
  falsim::Listening listening;
  std::string authority_file;
  std::vector<falsim::Fault> faults;
  bool lists_faults = false;
};

void add_time(CLI::App& app, const char* name, falsim::Milliseconds& into, const char* help) {
  const auto set = [&into](const std::uint32_t& count) { into = falsim::Milliseconds(count); };
  app.add_option_function<std::uint32_t>(name, set, help)->type_name("MS");
}

template <class Value>
void add_word(CLI::App& app, const char* name, Value& into, const char* value, const char* help,
              std::map<std::string, Value> words) {
  const auto set = [&into, words, name, help](const std::string& word) {
    const auto found = words.find(word);
    if (found == words.end()) throw CLI::ValidationError(name, help);
    into = found->second;
  };
  app.add_option_function<std::string>(name, set, help)->type_name(value);
}

void add_options(CLI::App& app, Command& command) {
  falsim::FalsimOptions& options = command.options;
  app.add_option("--host", command.listening.host, "listen there (127.0.0.1)")
      ->type_name("ADDRESS");
  app.add_option("--port", command.listening.port,
                 "of queue, documents, storage and media (0: a free one)")
      ->type_name("N");
  app.add_option("--run-port", command.listening.run_port, "of fal.run (0: a free one)")
      ->type_name("N");
  add_word<falsim::Tls>(app, "--tls", command.listening.tls, "MODE",
                        "https: valid, expired, wrong-host or self-signed",
                        {{"valid", falsim::Tls::valid},
                         {"expired", falsim::Tls::expired},
                         {"wrong-host", falsim::Tls::wrong_host},
                         {"self-signed", falsim::Tls::self_signed}});
  app.add_option("--ca-file", command.authority_file,
                 "write the authority to trust there, for SSL_CERT_FILE")
      ->type_name("FILE");
  app.add_option("--keys", options.keys, "the only keys that are good (every well-formed one)")
      ->type_name("ID:SECRET,...")
      ->delimiter(',')
      ->allow_extra_args(false);
  app.add_option("--slots", options.slots_per_key, "jobs of one key that run at once (no limit)")
      ->type_name("N");
  add_time(app, "--queue-time", options.queue_time, "a job waits that long (0)");
  add_time(app, "--job-time", options.job_time, "a job runs that long (300)");
  add_time(app, "--ping", options.ping_interval, "between comments on held streams (15000)");
  add_word<falsim::Validation>(
      app, "--validate", options.validation, "WHEN",
      "refuse bad input at: result (as fal does) or submit",
      {{"result", falsim::Validation::result}, {"submit", falsim::Validation::submit}});
  app.add_option("--schemas", options.schemas,
                 "also serve the documents of that folder, <endpoint with / as __>.json")
      ->type_name("DIR");
  app.add_option("--streaming", options.streaming,
                 "models that have fal's own /stream (fal-ai/flux/dev)")
      ->type_name("ID,...")
      ->delimiter(',')
      ->allow_extra_args(false);
  app.add_option("--picture-bytes", options.picture_bytes, "pad each PNG to that size")
      ->type_name("N");
  const auto add_fault = [&command](const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      std::optional<falsim::Fault> fault = falsim::Fault::preset(name);
      if (!fault) throw CLI::ValidationError("--fault", name + " is no fault; see falsim --faults");
      command.faults.push_back(*std::move(fault));
    }
  };
  app.add_option_function<std::vector<std::string>>(
         "--fault", add_fault, "let a fault strike, as often as it fits; may be repeated")
      ->type_name("NAME")
      ->allow_extra_args(false);
  app.add_flag("--faults", command.lists_faults, "list the faults");
  app.footer(
      "While it runs: GET /_falsim/stats and /_falsim/submits, POST and DELETE /_falsim/faults; in "
      "a prompt, the words\n"
      "falsim:NAME, falsim:NAME*TIMES, falsim:job_time=MS and falsim:queue_time=MS.");
}

/// The exit status, if it is over.
std::optional<int> parse(int argc, char** argv, Command& command) {
  CLI::App app("falsim: a stand-in for fal.ai on this machine", "falsim");
  app.set_help_flag("--help", "this");
  app.set_version_flag("--version", "falsim " FALPROXY_VERSION, "the version");
  app.allow_extras();
  add_options(app, command);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  for (const std::string& word : app.remaining()) {
    std::vector<std::string> names;
    for (const CLI::Option* option : app.get_options()) names.push_back(option->get_name());
    const std::vector<std::string_view> views(names.begin(), names.end());
    const std::string near(falproxy::nearest(word, views));
    std::fprintf(stderr, "falsim: %s is no option%s; see falsim --help\n", word.c_str(),
                 near.empty() ? "" : (" (did you mean " + near + "?)").c_str());
    return 2;
  }
  if (!command.lists_faults) return std::nullopt;
  for (const std::string& name : falsim::Fault::preset_names()) std::puts(name.c_str());
  return 0;
}

void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

int serve(const Command& command) {
  raise_descriptor_limit();
  falproxy::Result<falsim::Falsim> sim = falsim::Falsim::start(command.options, command.listening);
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

  Command command;
  const std::optional<int> over = parse(argc, argv, command);
  return over ? *over : serve(command);
}
