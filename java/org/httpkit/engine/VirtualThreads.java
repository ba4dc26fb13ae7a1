package org.httpkit.engine;

import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.ThreadFactory;

/** Virtual threads on a JDK that has them, found when the program runs: the class files are those of Java 11. */
public final class VirtualThreads {
    /** The release in which they left preview. */
    private static final int FIRST_RELEASE = 21;
    private static final boolean AVAILABLE = Runtime.version().feature() >= FIRST_RELEASE;
    /** Final, so the JIT compiler sees through it. */
    private static final MethodHandle IS_VIRTUAL = AVAILABLE ? isVirtual() : null;

    private VirtualThreads() {
    }

    /** Returns true if this JVM has virtual threads. */
    public static boolean areAvailable() {
        return AVAILABLE;
    }

    /**
     * Returns a pool that starts a virtual thread for every task. Of the thread that gives a task it inherits the context class loader alone:
     * that may be one of the engine's, on which handlers have run.
     */
    public static ExecutorService newExecutor() {
        try {
            ThreadFactory threads = factory();
            ThreadFactory inTheLoader = task -> {
                Thread thread = threads.newThread(task);
                thread.setContextClassLoader(Thread.currentThread().getContextClassLoader());
                return thread;
            };
            return (ExecutorService) MethodHandles.publicLookup()
                .findStatic(Executors.class, "newThreadPerTaskExecutor",
                    MethodType.methodType(ExecutorService.class, ThreadFactory.class))
                .invoke(inTheLoader);
        } catch (Throwable e) {
            throw new UnsupportedOperationException("This JVM has no virtual threads", e);
        }
    }

    /** {@code Thread.ofVirtual().inheritInheritableThreadLocals(false).factory()}. */
    private static ThreadFactory factory() throws Throwable {
        MethodHandles.Lookup lookup = MethodHandles.publicLookup();
        Class<?> builder = Class.forName("java.lang.Thread$Builder$OfVirtual");
        Object empty = lookup.findStatic(Thread.class, "ofVirtual", MethodType.methodType(builder)).invoke();
        Object alone = lookup.findVirtual(builder, "inheritInheritableThreadLocals", MethodType.methodType(builder, boolean.class))
            .invoke(empty, false);
        return (ThreadFactory) lookup.findVirtual(builder, "factory", MethodType.methodType(ThreadFactory.class)).invoke(alone);
    }

    /** Returns true on a virtual thread, where caching in a thread local would keep a copy for each of any number of threads. */
    static boolean isCurrent() {
        if (IS_VIRTUAL == null) {
            return false;
        }
        try {
            return (boolean) IS_VIRTUAL.invokeExact(Thread.currentThread());
        } catch (Throwable e) {
            throw new AssertionError(e);
        }
    }

    private static MethodHandle isVirtual() {
        try {
            return MethodHandles.publicLookup()
                .findVirtual(Thread.class, "isVirtual", MethodType.methodType(boolean.class));
        } catch (ReflectiveOperationException e) {
            throw new ExceptionInInitializerError(e);
        }
    }
}
