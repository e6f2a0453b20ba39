// A program whose window must not freeze: gui_program PROMPT
//
// An event loop like Qt's turns on one thread. The call runs on another one, and what it says is
// posted to the loop. Here the user changes his mind as soon as the model runs. FAL_KEY and the
// addresses of fal.ai are taken from the environment, as in in_process_generate.
#include <falproxy/client.hpp>
#include <iostream>

#include "event_loop.hpp"

int main(int argc, char** argv) {
  const falproxy::Client fal(falproxy::ClientOptions::from_environment());
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
  std::cout << "the longest turn of the loop took " << loop.longest_turn().count() << " us\n";
}
