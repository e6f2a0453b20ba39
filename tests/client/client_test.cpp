// The Client as programs use it, over fal without sockets.
#include "falproxy/client.hpp"

#include <doctest/doctest.h>

#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <mutex>
#include <thread>

#include "falproxy/fal_desk.hpp"
#include "falproxy/test_doubles.hpp"
#include "support/pictures.hpp"

using namespace std::chrono_literals;
using falproxy::Artifact;
using falproxy::Call;
using falproxy::CallOptions;
using falproxy::CallProgress;
using falproxy::Client;
using falproxy::ClientOptions;
using falproxy::ErrorKind;
using falproxy::ImageWish;
using falproxy::Json;
using falproxy::Made;
using falproxy::Milliseconds;
using falproxy::Result;
using falproxy::testing::InProcessFal;

namespace {

// Holds requests whose address ends in a given way until it is told to let them go. A stop lets go
// of them, too, unless it is a cancel that fal does not answer.
class HeldTransport final : public falproxy::Transport {
 public:
  HeldTransport(falproxy::Transport& to, std::vector<std::string> endings, bool minds_stop = true)
      : to_(to), endings_(std::move(endings)), minds_stop_(minds_stop) {}

  Result<falproxy::Done, falproxy::TransportError> send(const falproxy::HttpRequest& request,
                                                        falproxy::TimePoint deadline,
                                                        std::stop_token stop,
                                                        falproxy::ResponseSink& sink) override {
    const bool is_held = std::ranges::any_of(
        endings_, [&](const std::string& ending) { return request.url.ends_with(ending); });
    if (is_held) hold(stop);
    return to_.send(request, deadline, std::move(stop), sink);
  }
  void let_go() {
    {
      const std::lock_guard lock(mutex_);
      open_ = true;
    }
    changed_.notify_all();
  }
  void wait_for_one() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return held_ > 0; });
  }

 private:
  void hold(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    ++held_;
    changed_.notify_all();
    if (minds_stop_) {
      changed_.wait(lock, stop, [&] { return open_; });
    } else {
      changed_.wait(lock, [&] { return open_; });
    }
  }

  falproxy::Transport& to_;
  const std::vector<std::string> endings_;
  const bool minds_stop_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  bool open_ = false;
  int held_ = 0;
};

// As a window's: what is posted, one after the other, on the thread that runs it.
class Loop {
 public:
  void post(std::function<void()> turn) {
    const std::lock_guard lock(mutex_);
    turns_.push_back(std::move(turn));
    posted_.notify_one();
  }
  void run() {
    while (!done_) {
      std::unique_lock lock(mutex_);
      posted_.wait(lock, [&] { return !turns_.empty(); });
      const std::function<void()> turn = std::move(turns_.front());
      turns_.pop_front();
      lock.unlock();
      turn();
    }
  }
  void quit() { done_ = true; }

 private:
  std::mutex mutex_;
  std::condition_variable posted_;
  std::deque<std::function<void()>> turns_;
  bool done_ = false;
};

struct Desk {
  falproxy::testing::VirtualClock clock;
  InProcessFal fal{clock};

  [[nodiscard]] ClientOptions options(falproxy::Transport* through = nullptr) {
    return {.keys = {"id:secret"},
            .fal = InProcessFal::addresses(),
            .media_hosts = std::string(InProcessFal::media_hosts),
            .transport = through != nullptr ? through : &fal,
            .clock = &clock};
  }
};

const ImageWish lighthouse{
    .model = "fal-ai/flux/dev", .prompt = "a lighthouse", .size = "1024x768"};

std::string bytes_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::filesystem::path scratch(const char* name) {
  return std::filesystem::temp_directory_path() /
         ("falproxy-client-" + std::to_string(getpid()) + name);
}

}  // namespace

TEST_CASE("a picture is fetched when somebody asks for it, and once") {
  Desk desk;
  const Client client(desk.options());
  const Result<Made> made = client.generate(lighthouse);
  REQUIRE(made.has_value());
  REQUIRE(made->artifacts.size() == 1);
  const Artifact& picture = made->artifacts.front();
  CHECK(picture.address().starts_with(InProcessFal::queue_url));
  CHECK(desk.fal.desk().stats().media_requests == 0);
  const auto content = picture.content();
  REQUIRE(content.has_value());
  CHECK(content->content_type == "image/png");
  CHECK(content->pixels == falproxy::media::Dimensions{1024, 768});
  const auto path = scratch(".png");
  CHECK(picture.save(path.string()).has_value());
  CHECK(bytes_of(path) == *content->bytes);
  std::filesystem::remove(path);
  CHECK(desk.fal.desk().stats().media_requests == 1);
  CHECK(desk.fal.desk().stats().misplaced_keys.empty());
  CHECK(made->receipt.jobs.size() == 1);
}

TEST_CASE("a call without a timeout tells fal of no time to start in") {
  Desk desk;
  REQUIRE(Client(desk.options()).generate(lighthouse).has_value());
  REQUIRE(Client(desk.options()).generate(lighthouse, {.timeout = 60s}).has_value());
  const auto submits = desk.fal.desk().submits();
  REQUIRE(submits.size() == 2);
  CHECK_FALSE(submits[0].headers.find("X-Fal-Request-Start-Timeout").has_value());
  CHECK(submits[1].headers.find("X-Fal-Request-Start-Timeout").has_value());
}

TEST_CASE("a job may take longer than any server would wait") {
  Desk desk;
  desk.fal.desk().set_times(Milliseconds(0), 3h);
  CHECK(Client(desk.options()).generate(lighthouse).has_value());
  const Result<Made> limited = Client(desk.options()).generate(lighthouse, {.timeout = 60s});
  REQUIRE_FALSE(limited.has_value());
  CHECK(limited.error().kind == ErrorKind::timed_out);
}

TEST_CASE("a window's loop cancels and turns on while fal is silent, and the end is told") {
  Desk desk;
  HeldTransport until_stop(desk.fal, {"/status/stream?logs=0", "/status/stream", "/status"});
  HeldTransport silent(until_stop, {"/cancel"}, false);
  const Client client(desk.options(&silent));
  Loop loop;
  std::optional<Call> call;
  std::vector<std::string> turns;
  std::optional<ErrorKind> end;
  const auto tell = [&](const CallProgress& progress) {
    if (progress.stage != CallProgress::Stage::accepted) return;
    loop.post([&] {
      call->cancel();
      turns.emplace_back("cancelled");
      loop.post([&] {
        silent.wait_for_one();
        CHECK_FALSE(call->result().has_value());
        turns.emplace_back("fal is silent");
        loop.post([&] {
          turns.emplace_back("painted");
          // fal answers no sooner than this: whatever had waited for that would wait for ever.
          silent.let_go();
        });
      });
    });
  };
  const auto done = [&](const Result<Made>& made) {
    loop.post([&, kind = made ? ErrorKind::internal : made.error().kind] {
      end = kind;
      loop.quit();
    });
  };
  loop.post([&] {
    call = client.start(lighthouse, {.on_progress = tell, .on_done = done});
    turns.emplace_back("started");
  });
  loop.run();
  CHECK(turns == std::vector<std::string>{"started", "cancelled", "fal is silent", "painted"});
  CHECK(end == ErrorKind::cancelled);
  CHECK(call->wait().error().kind == ErrorKind::cancelled);
  CHECK(desk.fal.desk().stats().cancelled == 1);
}

TEST_CASE("a call ends though fal never answers its cancel") {
  Desk desk;
  desk.fal.desk().set_times(Milliseconds(0), 3h);
  desk.fal.desk().add_fault(falproxy::testing::Fault::preset("cancel_silence").value());
  const falproxy::TimePoint begin = desk.clock.now();
  std::stop_source stop;
  const auto tell = [&](const CallProgress& progress) {
    if (progress.stage == CallProgress::Stage::running) stop.request_stop();
  };
  const Result<Made> made =
      Client(desk.options()).generate(lighthouse, {.on_progress = tell, .stop = stop.get_token()});
  REQUIRE_FALSE(made.has_value());
  CHECK(made.error().kind == ErrorKind::cancelled);
  CHECK(made.error().submitted);
  CHECK(desk.clock.now() - begin < 1h);
}

TEST_CASE("the stop token of a program cancels, too") {
  Desk desk;
  HeldTransport held(desk.fal, {"/status/stream", "/status"});
  std::stop_source stop;
  const Client client(desk.options(&held));
  const Call call = client.start(lighthouse, {.stop = stop.get_token()});
  held.wait_for_one();
  stop.request_stop();
  CHECK(call.wait().error().kind == ErrorKind::cancelled);
}

TEST_CASE("with its last client a call is cancelled at fal and told") {
  Desk desk;
  HeldTransport held(desk.fal, {"/status/stream", "/status"});
  auto client = std::make_unique<Client>(desk.options(&held));
  const Call call = client->start(lighthouse);
  held.wait_for_one();
  auto copy = std::make_unique<Client>(*client);
  client.reset();
  CHECK_FALSE(call.result().has_value());
  copy.reset();
  REQUIRE(call.result().has_value());
  CHECK(call.result()->error().kind == ErrorKind::cancelled);
  CHECK(desk.fal.desk().stats().cancelled == 1);
}

TEST_CASE("the last client may go when its last call tells its end") {
  Desk desk;
  HeldTransport held(desk.fal, {"/fal-ai/flux/dev"});
  auto last = std::make_unique<Client>(desk.options(&held));
  std::mutex mutex;
  std::condition_variable gone;
  bool over = false;
  const Call call = last->start(lighthouse, {.on_done = [&](Result<Made>) {
                                  const std::lock_guard lock(mutex);
                                  last.reset();
                                  over = true;
                                  gone.notify_all();
                                }});
  held.let_go();
  std::unique_lock lock(mutex);
  gone.wait(lock, [&] { return over; });
  CHECK(call.wait().has_value());
}

TEST_CASE("a picture whose client is gone is not fetched, and its address is told") {
  Desk desk;
  const Result<Made> made = Client(desk.options()).generate(lighthouse);
  REQUIRE(made.has_value());
  const auto content = made->artifacts.front().content();
  REQUIRE_FALSE(content.has_value());
  CHECK(content.error().kind == ErrorKind::cancelled);
  CHECK(content.error().message.find(made->artifacts.front().address()) != std::string::npos);
}

TEST_CASE("a picture that came with the answer is there without a fetch") {
  Desk desk;
  const Client client(desk.options());
  ImageWish wish{.model = "fal-ai/fast-sdxl", .prompt = "x"};
  wish.native = {{"sync_mode", Json::boolean(true)}};
  const Result<Made> made = client.generate(wish);
  REQUIRE(made.has_value());
  CHECK(made->artifacts.front().address().empty());
  CHECK(made->artifacts.front().content()->content_type.starts_with("image/"));
  CHECK(desk.fal.desk().stats().media_requests == 0);
}

TEST_CASE("a file is edited") {
  Desk desk;
  const auto path = scratch("-in.png");
  std::ofstream(path, std::ios::binary) << falproxy::tests::whole_png(64, 48);
  const auto picture = falproxy::picture_from_file(path.string());
  std::filesystem::remove(path);
  REQUIRE(picture.has_value());
  const Client client(desk.options());
  const Result<Made> made = client.generate({.model = "fal-ai/flux/dev/image-to-image",
                                             .prompt = "the same at night",
                                             .images = {*picture}});
  REQUIRE(made.has_value());
  CHECK(desk.fal.desk().stats().uploads == 1);
  const auto missing = falproxy::picture_from_file(path.string());
  REQUIRE_FALSE(missing.has_value());
  CHECK(missing.error().message.find(path.string()) != std::string::npos);
}

TEST_CASE("a wish is checked as a request is, before anything is sent") {
  Desk desk;
  const Client client(desk.options());
  struct Case {
    ImageWish wish;
    ErrorKind kind;
    std::string field;
  };
  ImageWish no_picture = lighthouse;
  no_picture.images = {falproxy::picture_from_bytes("no picture", "a.txt")};
  const std::vector<Case> cases{
      {{.model = "fal-ai/flux/dev", .prompt = "x", .size = "big"},
       ErrorKind::invalid_value,
       "size"},
      {{.model = "fal-ai/flux/dev", .prompt = "x", .n = 0}, ErrorKind::invalid_value, "n"},
      {{.model = "fal-ai/flux/dev"}, ErrorKind::missing_parameter, "prompt"},
      {no_picture, ErrorKind::unsupported_file, "images[0]"},
      {{.prompt = "x"}, ErrorKind::unknown_model, "model"},
  };
  for (const Case& c : cases) {
    const Result<Made> made = client.generate(c.wish);
    REQUIRE_FALSE(made.has_value());
    CHECK(made.error().kind == c.kind);
    CHECK(made.error().field == c.field);
  }
  CHECK(desk.fal.desk().stats().submits == 0);
}

TEST_CASE(
    "a program's options are those of its environment, the key as fal's own clients have it") {
  const std::vector<const char*> names = {"FAL_KEY",       "FAL_KEY_ID",      "FAL_KEY_SECRET",
                                          "FAL_QUEUE_URL", "FAL_MEDIA_HOSTS", "SSL_CERT_FILE"};
  std::vector<std::pair<const char*, std::optional<std::string>>> before;
  for (const char* name : names) {
    const char* const value = std::getenv(name);
    before.emplace_back(name, value ? std::optional<std::string>(value) : std::nullopt);
    ::unsetenv(name);
  }
  const ClientOptions defaults = ClientOptions::from_environment();
  ::setenv("FAL_KEY_ID", "id", 1);
  ::setenv("FAL_KEY_SECRET", "of-two", 1);
  const ClientOptions of_two = ClientOptions::from_environment();
  ::setenv("FAL_KEY", " id:of-one ", 1);
  ::setenv("FAL_QUEUE_URL", "https://queue.example", 1);
  ::setenv("FAL_MEDIA_HOSTS", "  ", 1);
  ::setenv("SSL_CERT_FILE", "/ca.pem", 1);
  const ClientOptions said = ClientOptions::from_environment();
  for (const auto& [name, value] : before) {
    if (value)
      ::setenv(name, value->c_str(), 1);
    else
      ::unsetenv(name);
  }
  CHECK(defaults.keys.empty());
  CHECK(defaults.fal == falproxy::fal::Addresses());
  CHECK(of_two.keys == std::vector<std::string>{"id:of-two"});
  CHECK(said.keys == std::vector<std::string>{"id:of-one"});
  CHECK(said.fal.queue == "https://queue.example");
  CHECK(said.fal.schema == defaults.fal.schema);
  CHECK(said.media_hosts == defaults.media_hosts);
  CHECK(said.ca_file == "/ca.pem");
}

TEST_CASE("options that cannot be used are told by each call") {
  Desk desk;
  ClientOptions no_keys = desk.options();
  no_keys.keys = {};
  ClientOptions no_host = desk.options();
  no_host.media_hosts = "not a host/";
  for (const auto& [options, field] : {std::pair(no_keys, "keys"), {no_host, "media_hosts"}}) {
    const Client client(options);
    const Result<Made> made = client.generate(lighthouse);
    REQUIRE_FALSE(made.has_value());
    CHECK(made.error().kind == ErrorKind::invalid_settings);
    CHECK(made.error().field == field);
    CHECK(client.plan(lighthouse).error().kind == ErrorKind::invalid_settings);
  }
}

TEST_CASE("progress is told in its order") {
  Desk desk;
  desk.fal.desk().set_times(10s, 10s);
  std::vector<CallProgress::Stage> stages;
  std::vector<std::string> ids;
  const Client client(desk.options());
  const Result<Made> made =
      client.generate(lighthouse, {.on_progress = [&](const CallProgress& progress) {
                        stages.push_back(progress.stage);
                        if (!progress.fal_request_ids.empty()) ids = progress.fal_request_ids;
                      }});
  REQUIRE(made.has_value());
  using Stage = CallProgress::Stage;
  REQUIRE(stages.size() >= 3);
  CHECK(stages.front() == Stage::accepted);
  CHECK(std::ranges::count(stages, Stage::queued) >= 1);
  CHECK(stages.back() == Stage::running);
  CHECK(name_of(stages.back()) == "running");
  CHECK(ids.size() == 1);
}

TEST_CASE("one call more than there may be is refused at once") {
  Desk desk;
  HeldTransport held(desk.fal, {"/fal-ai/flux/dev"});
  ClientOptions options = desk.options(&held);
  options.max_calls = 1;
  const Client client(options);
  const Call first = client.start(lighthouse);
  held.wait_for_one();
  CHECK(client.generate(lighthouse).error().kind == ErrorKind::overloaded);
  held.let_go();
  CHECK(first.wait().has_value());
}

TEST_CASE("what would be sent is told without sending it") {
  Desk desk;
  const auto plan = Client(desk.options()).plan(lighthouse);
  REQUIRE(plan.has_value());
  CHECK(plan->jobs.front().input.find("prompt") == Json::string("a lighthouse"));
  CHECK(desk.fal.desk().stats().submits == 0);
}

TEST_CASE("a program's settings name its models") {
  Desk desk;
  falproxy::Settings settings;
  settings.ai_keys = {{falproxy::Secret("id:secret")}};
  settings.models = {{"sketch", "fal-ai/flux/dev", ""}};
  const auto addresses = InProcessFal::addresses();
  settings.fal_queue_url = addresses.queue;
  settings.fal_schema_url = addresses.schema;
  settings.fal_rest_url = addresses.rest;
  settings.fal_media_hosts = std::string(InProcessFal::media_hosts);
  const falproxy::ModelSettingsMap models{
      {"sketch", {.overrides = {{"guidance_scale", Json::integer(7)}}}}};
  const ClientOptions parts{.transport = &desk.fal, .clock = &desk.clock};
  const Result<Client> client = Client::open(settings, models, parts);
  REQUIRE(client.has_value());
  const auto plan = client->plan({.model = "sketch", .prompt = "x"});
  REQUIRE(plan.has_value());
  CHECK(plan->jobs.front().input.find("guidance_scale") == Json::integer(7));
  CHECK(client->generate({.prompt = "x"}).has_value());

  settings.models = {{"sketch", "no endpoint", ""}};
  CHECK(Client::open(settings, {}, parts).error().field == "SUPPORTED_MODELS");
}

namespace {

class Painter final : public falproxy::ClientConnection {
 public:
  void start(ImageWish wish, CallOptions options) override {
    options.on_done(Made{.artifacts = {Artifact::of("picture of " + wish.prompt)}});
    options.on_done(Made{});  // a second end is none
  }
  Result<falproxy::plan::Plan> plan(ImageWish) override {
    return falproxy::Error{ErrorKind::internal, "no plan"};
  }
};

class Counting final : public falproxy::ClientConnection {
 public:
  explicit Counting(std::shared_ptr<ClientConnection> to) : to_(std::move(to)) {}
  void start(ImageWish wish, CallOptions options) override {
    ++calls;
    to_->start(std::move(wish), std::move(options));
  }
  Result<falproxy::plan::Plan> plan(ImageWish wish) override { return to_->plan(std::move(wish)); }
  int calls = 0;

 private:
  std::shared_ptr<ClientConnection> to_;
};

}  // namespace

TEST_CASE("a client can be played, and what passes through it counted") {
  const auto counting = std::make_shared<Counting>(std::make_shared<Painter>());
  const Client client(counting);
  int ends = 0;
  const Call call = client.start({.prompt = "a fox"}, {.on_done = [&](Result<Made>) { ++ends; }});
  CHECK(*call.wait()->artifacts.front().content()->bytes == "picture of a fox");
  CHECK(ends == 1);
  CHECK(counting->calls == 1);
}
