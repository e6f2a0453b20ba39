// falproxy.hpp: everything at once. Translating without any network takes this much:
//
//   #include <falproxy/falproxy.hpp>
//   #include <iostream>
//   #include <iterator>
//
//   int main(int argc, char** argv) {  // a model's OpenAPI document on standard input
//     const std::string document{std::istreambuf_iterator<char>(std::cin), {}};
//     const auto profile = falproxy::profile::read_profile(document);
//     if (!profile) return std::cerr << profile.error() << '\n', 1;
//     falproxy::Wish request;
//     request.prompt = argc > 1 ? argv[1] : "a lighthouse at dusk";
//     request.size = falproxy::SizeWish::parse("1024x768").value();
//     const auto plan = falproxy::plan::make_plan(request, **profile, {}, {});
//     if (!plan) return std::cerr << plan.error() << '\n', 1;
//     std::cout << plan->jobs.front().input.dump(2) << '\n';
//   }
#pragma once

#include "falproxy/body_source.hpp"
#include "falproxy/budgets.hpp"
#include "falproxy/catalog.hpp"
#include "falproxy/chat_router.hpp"
#include "falproxy/clock.hpp"
#include "falproxy/codecs.hpp"
#include "falproxy/executor.hpp"
#include "falproxy/fal.hpp"
#include "falproxy/http.hpp"
#include "falproxy/json.hpp"
#include "falproxy/key_ring.hpp"
#include "falproxy/log.hpp"
#include "falproxy/media.hpp"
#include "falproxy/media_index.hpp"
#include "falproxy/memory_store.hpp"
#include "falproxy/money.hpp"
#include "falproxy/observer.hpp"
#include "falproxy/openai.hpp"
#include "falproxy/openai_audio.hpp"
#include "falproxy/openai_chat.hpp"
#include "falproxy/openai_responses.hpp"
#include "falproxy/openai_videos.hpp"
#include "falproxy/openrouter.hpp"
#include "falproxy/options.hpp"
#include "falproxy/plain_codecs.hpp"
#include "falproxy/plan.hpp"
#include "falproxy/print.hpp"
#include "falproxy/product.hpp"
#include "falproxy/profile.hpp"
#include "falproxy/proxies.hpp"
#include "falproxy/purse.hpp"
#include "falproxy/result.hpp"
#include "falproxy/run_status.hpp"
#include "falproxy/runner.hpp"
#include "falproxy/schema.hpp"
#include "falproxy/secret.hpp"
#include "falproxy/settings.hpp"
#include "falproxy/spending_store.hpp"
#include "falproxy/state_store.hpp"
#include "falproxy/suggest.hpp"
#include "falproxy/transcript.hpp"
#include "falproxy/transport.hpp"
#include "falproxy/vocabulary.hpp"
#include "falproxy/wav.hpp"
