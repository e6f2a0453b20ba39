// fiber.hpp: a stack and the place at which it goes on. Used by reactor.cpp only.
#pragma once

#include <ucontext.h>

#include <cstddef>
#include <functional>
#include <memory>

#if defined(__SANITIZE_ADDRESS__)
#define FALPROXY_ADDRESS_SANITIZER
#elif defined(__SANITIZE_THREAD__)
#define FALPROXY_THREAD_SANITIZER
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FALPROXY_ADDRESS_SANITIZER
#elif __has_feature(thread_sanitizer)
#define FALPROXY_THREAD_SANITIZER
#endif
#endif

namespace falproxy::serving {

/// A switch costs one system call of the C library's, which keeps the signal mask. The exceptions
/// that are being caught, which the C++ runtime keeps for each thread, change with the stack.
class FiberContext {
 public:
  /// The calling thread's own.
  FiberContext();
  /// One that runs `body`, which never returns, on a stack of its own with a guard page below it.
  /// Null: there is no memory.
  [[nodiscard]] static std::unique_ptr<FiberContext> create(std::size_t stack_bytes,
                                                            std::function<void()> body);
  /// It must not be running.
  ~FiberContext();
  FiberContext(const FiberContext&) = delete;
  FiberContext& operator=(const FiberContext&) = delete;

  /// Leaves this, which must be running, until somebody switches to it again. Both belong to the
  /// same thread.
  void switch_to(FiberContext& other);

 private:
  FiberContext(void* memory, std::size_t bytes, std::function<void()> body);
  static void enter(unsigned high, unsigned low) noexcept;
  void arrived();

  /// What the C++ ABI keeps of a thread (Itanium C++ ABI, exception handling, 2.2.2).
  struct CaughtExceptions {
    void* caught = nullptr;
    unsigned int uncaught = 0;
  };

  ucontext_t context_{};
  CaughtExceptions exceptions_;
  std::function<void()> body_;
  void* memory_ = nullptr;  // the guard page and the stack above it; null: the thread's
  std::size_t bytes_ = 0;

  // What the sanitizers keep of it.
  FiberContext* left_ = nullptr;
  const void* stack_bottom_ = nullptr;
  std::size_t stack_bytes_ = 0;
  [[maybe_unused]] void* sanitized_ = nullptr;
};

}  // namespace falproxy::serving
