// Maps an OpenAI request onto a fal model, without any network: translate_only PROMPT <
// DOCUMENT.json
#include <falproxy/falproxy.hpp>
#include <iostream>
#include <iterator>
#include <string>

int main(int argc, char** argv) {
  const std::string document{std::istreambuf_iterator<char>(std::cin), {}};
  const auto profile = falproxy::profile::read_profile(document);
  if (!profile) return std::cerr << profile.error() << '\n', 1;
  falproxy::Wish request;
  request.prompt = argc > 1 ? argv[1] : "a lighthouse at dusk";
  request.size = falproxy::SizeWish::parse("1024x768").value();
  const auto plan = falproxy::plan::make_plan(request, **profile, {}, {});
  if (!plan) return std::cerr << plan.error() << '\n', 1;
  std::cout << plan->jobs.front().input.dump(2) << '\n';
}
