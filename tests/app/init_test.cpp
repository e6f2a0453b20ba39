// falproxy init, against falsim: from a key and a few numbers to settings that check approves.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <algorithm>
#include <falsim/falsim.hpp>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

#include "app/folder.hpp"
#include "commands/commands.hpp"
#include "commands/surroundings.hpp"

namespace {

using falproxy::SettingsFault;
using falproxy::app::Command;
using falproxy::app::ExitStatus;
using falproxy::testing::Folder;
using falsim::Falsim;

struct InitSaid {
  int status = 0;
  std::string out;
  std::string err;
};

InitSaid init_with(const Falsim& sim, const std::string& file, const std::string& typed,
                   bool force = false) {
  falproxy::app::RealSurroundings real;
  std::istringstream in(typed);
  std::ostringstream out;
  std::ostringstream err;
  falproxy::app::Surroundings surroundings = real.surroundings(in, out, err);
  surroundings.read_secret = {};  // whoever runs the tests may have a terminal
  surroundings.environment = {{"STATE_DIR", "none"}, {"SCHEMA_CACHE_DIR", "none"}};
  std::istringstream lines(sim.env());
  for (std::string line; std::getline(lines, line);) {
    const std::size_t sign = line.find('=');
    surroundings.environment[line.substr(0, sign)] = line.substr(sign + 1);
  }
  const int status = falproxy::app::run_init(
      {.command = Command::init, .env_file = file, .force = force}, surroundings);
  return {status, out.str(), err.str()};
}

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

TEST_CASE("init writes settings that check approves, for their owner alone") {
  const Folder folder;
  auto sim = Falsim::start({.keys = {"good:secret"}});
  REQUIRE(sim.has_value());
  const std::string file = folder.at("my.env");
  // Of the pictures flux/dev, and of the edits the one beside it; an endpoint by its id.
  const InitSaid said = init_with(
      *sim, file, "good:secret\n3, 6\n2 fal-ai/nano-banana/edit\n1\n1\n\nfalsim/listener\n");
  CAPTURE(said.out);
  CAPTURE(said.err);
  CHECK(said.status == ExitStatus::done);
  CHECK(said.out.find("0 faults, 0 warnings") != std::string::npos);
  const std::string text = text_of(file);
  CAPTURE(text);
  CHECK(text.find("AI_KEYS=good:secret\n") != std::string::npos);
  CHECK(text.find("SUPPORTED_MODELS=flux-dev:fal-ai/flux/dev+fal-ai/flux/dev/image-to-image,"
                  "nano-banana:fal-ai/nano-banana+fal-ai/nano-banana/edit,"
                  "clip-text-to-video:falsim/clip/text-to-video+falsim/clip/image-to-video,"
                  "listener:falsim/listener\n") != std::string::npos);
  CHECK(text.find("CUSTOM_ACCESS_KEY=fp-") != std::string::npos);
  struct stat about{};
  REQUIRE(::stat(file.c_str(), &about) == 0);
  CHECK((about.st_mode & 0777) == 0600);
  // The fal key is nowhere but in the file.
  CHECK(said.out.find("secret") == std::string::npos);
  CHECK(said.err.find("secret") == std::string::npos);
  CHECK(sim->stats().submits == 0);
}

TEST_CASE("init asks again for a key that fal refuses, and writes nothing that check refuses") {
  auto sim = Falsim::start({.keys = {"good:secret"}});
  REQUIRE(sim.has_value());
  const Folder folder;
  const std::string file = folder.at("my.env");
  const InitSaid mended = init_with(*sim, file, "good:wrong\ngood:secret\n1\n\n\n\n\n\n");
  CAPTURE(mended.err);
  CHECK(mended.status == ExitStatus::done);
  CHECK(mended.err.find("this key cannot be used: fal refuses it (401)") != std::string::npos);
  CHECK(mended.err.find("wrong") == std::string::npos);
  CHECK(text_of(file).find("AI_KEYS=good:secret\n") != std::string::npos);
  const std::string other = folder.at("other.env");
  CHECK(init_with(*sim, other, "good:wrong\ngood:wrong\ngood:wrong\n").status == ExitStatus::fault);
  CHECK(text_of(other).empty());
  // No document is there of this one.
  const InitSaid refused = init_with(*sim, other, "good:secret\nfal-ai/no/such-model\n\n\n\n\n\n");
  CAPTURE(refused.out);
  CHECK(refused.status == ExitStatus::fault);
  CHECK(refused.err.find("nothing was written") != std::string::npos);
  CHECK(text_of(other).empty());
  CHECK(text_of(other + ".part").empty());
  CHECK(init_with(*sim, other, "good:secret\nx\nx\nx\n1\n\n\n\n\n")
            .err.find("None of these is offered") != std::string::npos);
}

TEST_CASE("init writes over no file unless it is told to") {
  const Folder folder;
  auto sim = Falsim::start({});
  REQUIRE(sim.has_value());
  const std::string file = folder.write("my.env", "PORT=1\n");
  const std::string typed = "good:secret\n1\n\n\n\n\n\n";
  const InitSaid refused = init_with(*sim, file, typed);
  CHECK(refused.status == ExitStatus::not_understood);
  CHECK(refused.err.find("--force") != std::string::npos);
  CHECK(text_of(file) == "PORT=1\n");
  CHECK(init_with(*sim, file, typed, true).status == ExitStatus::done);
  CHECK(text_of(file).find("SUPPORTED_MODELS=") != std::string::npos);
}

TEST_CASE("init writes nothing without a key, without a model, and if the answers end") {
  auto sim = Falsim::start({});
  REQUIRE(sim.has_value());
  for (const char* typed : {"", "\n\n\n", "no-colon\nstill none\nnor here\n", "good:secret\n",
                            "good:secret\n\n\n\n\n\n\n\n"}) {
    const Folder folder;
    CAPTURE(typed);
    const InitSaid said = init_with(*sim, folder.at("my.env"), typed);
    CHECK(said.status == ExitStatus::fault);
    CHECK(said.err.find("nothing was written") != std::string::npos);
    CHECK(text_of(folder.at("my.env")).empty());
  }
}

TEST_CASE("init takes endpoints by their ids if fal's list cannot be had") {
  const Folder folder;
  auto sim = Falsim::start({});
  REQUIRE(sim.has_value());
  sim->add_fault({.step = falsim::Step::models,
                  .times = 100,
                  .answer = falproxy::testing::Answer{.status = 503}});
  const InitSaid said = init_with(*sim, folder.at("my.env"), "good:secret\n99\nfal-ai/flux/dev\n");
  CAPTURE(said.out);
  CAPTURE(said.err);
  CHECK(said.status == ExitStatus::done);
  CHECK(said.err.find("cannot be had: it answers 503") != std::string::npos);
  CHECK(said.err.find("'99' is no number") != std::string::npos);
  CHECK(text_of(folder.at("my.env")).find("flux-dev:fal-ai/flux/dev\n") != std::string::npos);
}

TEST_CASE("who begins is told in five lines what to do, and who mistyped is not") {
  const SettingsFault keys{.variable = "AI_KEYS", .message = "is missing"};
  const SettingsFault models{.variable = "SUPPORTED_MODELS", .message = "is missing"};
  const std::string text = falproxy::app::first_run_text({keys, models});
  CHECK(std::count(text.begin(), text.end(), '\n') == 5);
  CHECK(text.find("falproxy init") != std::string::npos);
  CHECK(falproxy::app::first_run_text({keys}).empty());
  CHECK(falproxy::app::first_run_text({models}).empty());
  CHECK(
      falproxy::app::first_run_text({keys, {.variable = "SUPPORTED_MODELS", .message = "is blank"}})
          .empty());
}
