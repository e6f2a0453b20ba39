// falproxy init: from a fal key to settings that falproxy runs with.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <istream>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/fmt.hpp"
#include "base/hex.hpp"
#include "base/text.hpp"
#include "commands/commands.hpp"
#include "commands/documents.hpp"
#include "commands/key_test.hpp"
#include "commands/table.hpp"
#include "falproxy/json.hpp"
#include "falproxy/options.hpp"
#include "falproxy/transport.hpp"

namespace falproxy::app {
namespace {

using namespace std::chrono_literals;

struct Category {
  std::string_view name;   // as fal's list has it
  std::string_view words;  // what is asked
};
constexpr std::array<Category, 6> categories = {{
    {"text-to-image", "Pictures of a text"},
    {"image-to-image", "Edits of pictures"},
    {"text-to-video", "Videos of a text"},
    {"image-to-video", "Videos that begin with a picture"},
    {"text-to-speech", "Speech"},
    {"speech-to-text", "Transcripts"},
}};
constexpr std::size_t shown_of_each = 15;
constexpr std::size_t largest_answer = 4u << 20;
constexpr std::size_t most_words = 76;
constexpr int most_tries = 3;

struct Offered {
  std::string endpoint;
  std::string words;
};

std::string first_words(std::string_view text) {
  std::string line(text.substr(0, text.find('\n')));
  if (line.size() <= most_words) return line;
  std::size_t end = line.rfind(' ', most_words);
  if (end == std::string::npos) end = most_words;
  return line.substr(0, end) + " ...";
}

// "fal-ai/flux/dev" is offered as "flux-dev".
std::string name_of(std::string_view endpoint, const std::vector<std::string>& taken) {
  std::string name(endpoint.substr(endpoint.find('/') + 1));
  std::ranges::replace(name, '/', '-');
  std::string free = name;
  for (int i = 2; std::ranges::find(taken, free) != taken.end(); ++i)
    free = fmt::format("{}-{}", name, i);
  return free;
}

// What an endpoint that edits stands beside, the likeliest first.
std::vector<std::string> bases_of(std::string_view endpoint) {
  const std::size_t slash = endpoint.rfind('/');
  if (slash == std::string_view::npos) return {};
  const std::string before(endpoint.substr(0, slash));
  const std::string_view last = endpoint.substr(slash + 1);
  if (last == "image-to-video") return {before + "/text-to-video"};
  if (last.starts_with("edit") || last == "image-to-image")
    return {before, before + "/text-to-image"};
  return {};
}

struct Entry {
  std::string endpoint;
  std::string edits;  // the endpoint that edits; empty: none
};

// Each base takes the first endpoint that edits beside it.
std::vector<Entry> entries_of(const std::vector<std::string>& endpoints) {
  std::vector<Entry> entries;
  entries.reserve(endpoints.size());
  for (const std::string& endpoint : endpoints) entries.push_back({endpoint, {}});
  for (const std::string& endpoint : endpoints) {
    for (const std::string& base : bases_of(endpoint)) {
      const auto entry = std::ranges::find(entries, base, &Entry::endpoint);
      if (entry == entries.end() || !entry->edits.empty()) continue;
      entry->edits = endpoint;
      std::erase_if(entries, [&](const Entry& own) { return own.endpoint == endpoint; });
      break;
    }
  }
  return entries;
}

std::string models_line(const std::vector<std::string>& endpoints) {
  std::vector<std::string> names;
  std::string line;
  for (const auto& [endpoint, edits] : entries_of(endpoints)) {
    names.push_back(name_of(endpoint, names));
    line += fmt::format("{}{}:{}{}{}", line.empty() ? "" : ",", names.back(), endpoint,
                        edits.empty() ? "" : "+", edits);
  }
  return line;
}

// For its owner alone. The fault; empty: it is whole.
std::string write_part(const std::string& part, const std::string& text) {
  ::unlink(part.c_str());
  const int file = ::open(part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0) return std::strerror(errno);
  const bool whole = ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
                     ::fsync(file) == 0;
  std::string fault = whole ? "" : std::strerror(errno);
  ::close(file);
  if (!fault.empty()) ::unlink(part.c_str());
  return fault;
}

// link() fails if somebody has made the file meanwhile.
std::string put_in_place(const std::string& part, const std::string& path, bool over) {
  const int failed =
      over ? ::rename(part.c_str(), path.c_str()) : ::link(part.c_str(), path.c_str());
  std::string fault = failed == 0 ? "" : std::strerror(errno);
  ::unlink(part.c_str());
  return fault;
}

class Init {
 public:
  Init(const CommandLine& line, const Surroundings& surroundings)
      : line_(line), surroundings_(surroundings), file_(line.env_file.value_or(".env")) {}

  int run() {
    if (!line_.force && ::access(file_.c_str(), F_OK) == 0) {
      return fail(surroundings_,
                  fmt::format("{} is there already, and was not changed: --force writes over it, "
                              "--env FILE names another",
                              file_));
    }
    const std::optional<Configuration> rest = ask_for_key();
    if (!rest) return gave_up("there is no fal key that fal takes");
    ask_for_models(*transport_, rest->settings.fal_api_url);
    if (chosen_.empty()) return gave_up("no model was chosen");
    return write();
  }

 private:
  [[nodiscard]] bool ask(std::string_view question, std::string& answer, bool secret = false) {
    surroundings_.out << question << std::flush;
    const bool read = secret && surroundings_.read_secret
                          ? surroundings_.read_secret(answer)
                          : static_cast<bool>(std::getline(surroundings_.in, answer));
    if (secret) surroundings_.out << '\n';
    answer = trim(answer);
    return read;
  }

  int gave_up(std::string_view why) {
    surroundings_.err << fmt::format("falproxy init: {}: nothing was written\n", why);
    return ExitStatus::fault;
  }

  // With settings that are whole but for the models; none: there is no key.
  std::optional<Configuration> ask_for_key() {
    surroundings_.out << "This writes the settings that falproxy needs to " << file_ << ".\n\n";
    for (int i = 0; i < most_tries; ++i) {
      if (!ask("fal key, from fal.ai/dashboard/keys (it is not shown): ", key_, true)) break;
      if (key_.empty()) continue;
      // What else is in the environment counts, but for what is asked for here.
      Environment environment = surroundings_.environment;
      environment["AI_KEYS"] = key_;
      environment["SUPPORTED_MODELS"] = "none:none/none";
      environment["CUSTOM_ACCESS_KEY"] = "none-is-needed-here";
      auto configuration = load_configuration("/dev/null", environment);
      if (configuration) {
        if (is_taken(*configuration)) return *std::move(configuration);
        continue;
      }
      for (const SettingsFault& fault : configuration.error())
        surroundings_.err << to_string(fault) << '\n';
    }
    return std::nullopt;
  }

  // Asked before anything else is, so that nobody answers for nothing.
  bool is_taken(const Configuration& configuration) {
    auto transport = surroundings_.transport(configuration.settings, configuration.proxies);
    if (!transport) {
      surroundings_.err << transport.error().message << '\n';
      return false;
    }
    transport_ = *std::move(transport);
    bool taken = true;
    for (const KeyVerdict& verdict : test_keys(configuration.settings.ai_keys,
                                               fal::EndpointId::parse("fal-ai/flux/dev").value(),
                                               fal_addresses(configuration.settings), *transport_,
                                               surroundings_.clock, surroundings_.executor)) {
      if (verdict.usable != KeyVerdict::Usable::no) continue;
      taken = false;
      surroundings_.err << fmt::format("this key cannot be used: {}\n", verdict.text);
    }
    return taken;
  }

  // What fal has of a category; empty: nothing, or it cannot be had.
  std::vector<Offered> list(Transport& transport, const std::string& api, std::string_view name) {
    HttpRequest request{.url = fmt::format("{}/models?status=active&limit={}&category={}", api,
                                           shown_of_each, name)};
    request.headers.add("Authorization", "Key " + key_.substr(0, key_.find_first_of("|,")));
    request.headers.add("Accept", "application/json");
    const auto answer =
        fetch(transport, request, surroundings_.clock.now() + 20s, {}, largest_answer);
    std::string trouble;
    if (!answer) {
      trouble = answer.error().message;
    } else if (answer->head.status != 200) {
      trouble = fmt::format("it answers {}", answer->head.status);
    }
    const Result<Json> json = trouble.empty() ? Json::parse(answer->body) : Json();
    std::vector<Offered> offered;
    const std::optional<Json> models = json ? json->find("models") : std::nullopt;
    for (std::size_t i = 0; models && i < std::min(models->size(), shown_of_each); ++i) {
      const Json row = models->at(i);
      const std::string endpoint(row["endpoint_id"].as_string().value_or(""));
      if (!fal::EndpointId::parse(endpoint)) continue;
      offered.push_back(
          {endpoint, first_words(row["metadata"]["description"].as_string().value_or(""))});
    }
    if (!trouble.empty() && !told_trouble_) {
      told_trouble_ = true;
      surroundings_.err << fmt::format("fal's list of models cannot be had: {}\n", trouble);
    }
    return offered;
  }

  void ask_for_models(Transport& transport, const std::string& api) {
    surroundings_.out << "\nWhich models are to be offered? Write their numbers, with blanks "
                         "between them, or endpoints\nsuch as fal-ai/flux/dev; Enter alone for "
                         "none.\n";
    bool any = false;
    for (const Category& category : categories) {
      const std::vector<Offered> offered = list(transport, api, category.name);
      if (offered.empty()) continue;
      any = true;
      std::vector<std::vector<std::string>> rows;
      for (std::size_t i = 0; i < offered.size(); ++i)
        rows.push_back({fmt::format("{:>4}", i + 1), offered[i].endpoint, offered[i].words});
      surroundings_.out << '\n' << category.words << '\n' << table_text(rows);
      if (!choose(offered)) return;
    }
    if (!any || chosen_.empty()) static_cast<void>(choose({}));
  }

  // False: the answers have ended.
  bool choose(const std::vector<Offered>& offered) {
    for (int i = 0; i < most_tries; ++i) {
      std::string answer;
      if (!ask(offered.empty() ? "Endpoints: " : "Numbers: ", answer)) return false;
      std::ranges::replace(answer, ',', ' ');
      std::vector<std::string> picked;
      std::string wrong;
      for_each_part(answer, ' ', [&](std::string_view word) {
        if (trim(word).empty()) return;
        std::size_t number = 0;
        const auto [end, fault] = std::from_chars(word.data(), word.data() + word.size(), number);
        const bool is_number = fault == std::errc() && end == word.data() + word.size();
        if (is_number && number >= 1 && number <= offered.size()) {
          picked.push_back(offered[number - 1].endpoint);
        } else if (!is_number && fal::EndpointId::parse(std::string(word))) {
          picked.emplace_back(word);
        } else {
          wrong = word;
        }
      });
      if (wrong.empty()) {
        for (std::string& one : picked) {
          if (std::ranges::find(chosen_, one) == chosen_.end()) chosen_.push_back(std::move(one));
        }
        return true;
      }
      surroundings_.err << fmt::format("'{}' is no number of the list, and no endpoint\n", wrong);
    }
    surroundings_.err << "None of these is offered: go on with the next.\n";
    return true;
  }

  int write() {
    std::array<unsigned char, 24> random{};
    if (::getentropy(random.data(), random.size()) != 0)
      return fail(surroundings_, "the system gives no random bytes");
    const std::string access = "fp-" + hex(random);
    const std::string text = fmt::format(
        "# Written by falproxy init. docs/settings.md explains every setting.\n\n"
        "# What your clients send as their API key.\nCUSTOM_ACCESS_KEY={}\n\n"
        "# Your fal key; it never leaves the server.\nAI_KEYS={}\n\n"
        "# name:endpoint, or name:endpoint+edit-endpoint\nSUPPORTED_MODELS={}\n",
        access, key_, models_line(chosen_));
    const std::string part = file_ + ".part";
    std::string fault = write_part(part, text);
    if (fault.empty()) {
      CommandLine check = line_;
      check.env_file = part;
      surroundings_.out << '\n';
      if (run_check(check, surroundings_) != ExitStatus::done) {
        ::unlink(part.c_str());
        return gave_up("these settings have a fault, which stands above");
      }
      fault = put_in_place(part, file_, line_.force);
    }
    if (!fault.empty())
      return fail(surroundings_, fmt::format("{} cannot be written: {}", file_, fault));
    surroundings_.out << fmt::format(
        "\nWritten: {}\nYour clients' key: {}\n\nStart the server with: falproxy{}\n"
        "Its page is then at http://localhost:8000/\n",
        file_, access, line_.env_file ? " --env " + file_ : "");
    return ExitStatus::done;
  }

  const CommandLine& line_;
  const Surroundings& surroundings_;
  const std::string file_;
  std::string key_;
  std::unique_ptr<Transport> transport_;
  std::vector<std::string> chosen_;  // endpoints, in the order of the choice
  bool told_trouble_ = false;
};

}  // namespace

std::string first_run_text(const std::vector<SettingsFault>& faults) {
  const auto is_missing = [&](std::string_view name) {
    return std::ranges::any_of(faults, [&](const SettingsFault& fault) {
      return fault.variable == name && fault.message == "is missing";
    });
  };
  if (!is_missing("AI_KEYS") || !is_missing("SUPPORTED_MODELS")) return {};
  return "falproxy has no settings yet: it needs a fal key, and the models that it is to offer.\n"
         "  falproxy init            asks for both, and writes them to .env in this folder\n"
         "  falproxy --env FILE      reads them from another file\n"
         "  falproxy demo            shows it all without a fal key (in a build tree)\n"
         "  falproxy --help          tells the rest; docs/settings.md has every setting\n";
}

int run_init(const CommandLine& line, const Surroundings& surroundings) {
  return Init(line, surroundings).run();
}

}  // namespace falproxy::app
