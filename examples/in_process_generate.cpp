// Makes a picture without any server: in_process_generate PROMPT [PICTURE]
//
// FAL_KEY is a key of fal.ai's. With the addresses that falsim prints in the environment it asks
// falsim instead, and any key will do. It shows the queue while it waits. It needs nothing but what
// `cmake --install` installs.
#include <falproxy/client.hpp>
#include <iostream>

namespace {

void show(const falproxy::CallProgress& progress) {
  if (progress.stage == falproxy::CallProgress::Stage::running) std::cout << "running\n";
  if (progress.position) std::cout << "in fal's queue, position " << *progress.position << '\n';
}

}  // namespace

int main(int argc, char** argv) {
  const falproxy::Client fal(falproxy::ClientOptions::from_environment());
  const auto made = fal.generate({.model = "fal-ai/flux/dev",
                                  .prompt = argc > 1 ? argv[1] : "a lighthouse at dusk",
                                  .size = "512x512",
                                  .output_format = "png"},
                                 {.on_progress = show});
  if (!made) return std::cerr << made.error().message << '\n', 1;
  const std::string path = argc > 2 ? argv[2] : "picture.png";
  if (const auto saved = made->artifacts[0].save(path); !saved)
    return std::cerr << saved.error().message << '\n', 1;
  std::cout << path << ": " << made->artifacts[0].content()->bytes->size() << " bytes; "
            << falproxy::server_timing(made->receipt) << '\n';
}
