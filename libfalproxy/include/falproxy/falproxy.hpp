// falproxy.hpp: everything at once. Translating without any network takes this much:
//
//   #include <falproxy/falproxy.hpp>
//   #include <iostream>
//
//   int main(int argc, char** argv) {  // DOCUMENT.json, a fal model's OpenAPI document, on
//   standard input
//     std::string document{std::istreambuf_iterator<char>(std::cin), {}};
//     auto schema = falproxy::schema::analyze(document);
//     if (!schema) return std::cerr << schema.error().message << '\n', 1;
//     falproxy::openai::ImageRequest request;
//     request.prompt = argc > 1 ? argv[1] : "a lighthouse at dusk";
//     request.size = {falproxy::openai::SizeWish::Kind::pixels, 1024, 768};
//     auto plan = falproxy::translate::to_fal(request, *schema, {}, {});
//     if (!plan) return std::cerr << plan.error().message << '\n', 1;
//     std::cout << plan->jobs.front().input.dump(2) << '\n';
//   }
#pragma once

#include "falproxy/catalog.hpp"
#include "falproxy/clock.hpp"
#include "falproxy/codecs.hpp"
#include "falproxy/executor.hpp"
#include "falproxy/fal.hpp"
#include "falproxy/gateway.hpp"
#include "falproxy/http.hpp"
#include "falproxy/json.hpp"
#include "falproxy/key_ring.hpp"
#include "falproxy/log.hpp"
#include "falproxy/media.hpp"
#include "falproxy/openai.hpp"
#include "falproxy/result.hpp"
#include "falproxy/schema.hpp"
#include "falproxy/secret.hpp"
#include "falproxy/settings.hpp"
#include "falproxy/suggest.hpp"
#include "falproxy/translate.hpp"
#include "falproxy/transport.hpp"
#include "falproxy/vocabulary.hpp"
