// A program whose window must not freeze: gui_program PROMPT
//
// An event loop like Qt's turns on one thread. The call runs on another one, and what it says is
// posted to the loop. Here the user changes his mind as soon as the model runs. FAL_KEY and the
// addresses of fal.ai are taken from the environment, as in in_process_generate.
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <falproxy/client.hpp>
#include <iostream>
#include <mutex>

namespace {

// In place of QApplication and QMetaObject::invokeMethod.
class EventLoop {
 public:
  void post(std::function<void()> event) {
    const std::lock_guard lock(mutex_);
    events_.push_back(std::move(event));
    posted_.notify_one();
  }
  void run() {
    while (!done_) {
      std::unique_lock lock(mutex_);
      posted_.wait(lock, [this] { return !events_.empty(); });
      const std::function<void()> event = std::move(events_.front());
      events_.pop_front();
      lock.unlock();
      const auto begin = std::chrono::steady_clock::now();
      event();
      longest_ = std::max(longest_, std::chrono::steady_clock::now() - begin);
    }
  }
  void quit() { done_ = true; }
  [[nodiscard]] std::chrono::microseconds longest() const {
    return std::chrono::duration_cast<std::chrono::microseconds>(longest_);
  }

 private:
  std::mutex mutex_;
  std::condition_variable posted_;
  std::deque<std::function<void()>> events_;
  std::chrono::steady_clock::duration longest_{};
  bool done_ = false;
};

void set_from(const char* variable, std::string& option) {
  if (const char* value = std::getenv(variable)) option = value;
}

}  // namespace

int main(int argc, char** argv) {
  falproxy::ClientOptions options{.keys = {""}};
  set_from("FAL_KEY", options.keys[0]);
  set_from("FAL_QUEUE_URL", options.fal.queue);
  set_from("FAL_SCHEMA_URL", options.fal.schema);
  const falproxy::Client fal(options);

  EventLoop loop;
  std::optional<falproxy::Call> call;
  const auto progress = [&](const falproxy::CallProgress& told) {
    if (told.stage != falproxy::CallProgress::Stage::running) return;
    loop.post([&] {
      std::cout << "the user cancels\n";
      call->cancel();
    });
  };
  const auto done = [&](falproxy::Result<falproxy::Made> made) {
    loop.post([&loop, made = std::move(made)] {
      std::cout << (made ? "a picture came" : made.error().message) << '\n';
      loop.quit();
    });
  };
  loop.post([&] {
    call = fal.start({.model = "fal-ai/flux/dev", .prompt = argc > 1 ? argv[1] : "a lighthouse"},
                     {.on_progress = progress, .on_done = done});
  });
  loop.run();
  std::cout << "the longest turn of the loop took " << loop.longest().count() << " us\n";
}
