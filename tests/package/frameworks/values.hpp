// values.hpp: two values of a type each that are not equal, for assertions that fail.
#pragma once

#include <falproxy/json.hpp>
#include <falproxy/plan.hpp>
#include <falproxy/result.hpp>
#include <falproxy/wish.hpp>

inline falproxy::Error error_of(falproxy::ErrorKind kind) { return {kind, "Say a size.", "size"}; }
inline falproxy::Json json_of(int seed) {
  return falproxy::Json::object({{"prompt", "a fox"}, {"seed", seed}});
}
inline falproxy::plan::Note note_of(const char* field) { return {field, "2 became 1"}; }
inline falproxy::plan::Plan plan_of(int images) {
  falproxy::plan::Plan plan;
  plan.jobs.push_back({falproxy::Json::object({{"num_images", images}})});
  plan.notes.push_back({"user", "left out"});
  return plan;
}
inline falproxy::Wish wish_of(const char* prompt) {
  falproxy::Wish wish;
  wish.prompt = prompt;
  return wish;
}
