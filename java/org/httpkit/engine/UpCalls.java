package org.httpkit.engine;

import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.lang.reflect.Array;
import java.lang.reflect.Method;

/**
 * The up-calls of requests and messages as native function pointers, which JVMs with the Foreign Function and Memory API make (JDK 22,
 * JEP 454). Such a call costs a fraction of one through JNI, which finds the method, pushes the arguments one by one and
 * passes through the interpreter's entry.
 *
 * <p>A function cannot take references: objects go by number. Nor may it throw, which would end the JVM; so none is used before it has
 * allocated what its first calls do.
 */
final class UpCalls {
    /** Up-calls through JNI before functions are made, which takes some 50 ms: a server in a test answers fewer. */
    private static final int WARM_UP = 2000;
    /** The result of a call that threw. */
    private static final int THROWN = -1;
    /** In place of a worker's number: the call is a trial. */
    private static final int TRIAL = -1;
    /** Some ten times what functions and their first calls allocate: a heap without room for it gets none yet. */
    private static final int RESERVE = 4 * 1024 * 1024;

    private static final WeakTable<Worker> WORKERS = new WeakTable<>();
    private static final WeakTable<Application> APPLICATIONS = new WeakTable<>();

    /** How many more up-calls go through JNI. Races lose counts, which does no harm. */
    private static int untilFunctions = ForeignApi.isPresent() ? WARM_UP : 0;

    private UpCalls() {
    }

    static int add(Worker worker) {
        return WORKERS.add(worker);
    }

    static int add(Application application) {
        return APPLICATIONS.add(application);
    }

    /** An up-call came through JNI. */
    static void count() {
        if (untilFunctions > 0 && --untilFunctions == 0) {
            try {
                ForeignApi.inBackground("httpkit-rs-up-calls", UpCalls::makeFunctions);
            } catch (OutOfMemoryError noThread) {
                untilFunctions = WARM_UP;
            }
        }
    }

    private static void makeFunctions() {
        try {
            checkMemory();
            MethodHandles.Lookup lookup = MethodHandles.lookup();
            MethodHandle request = lookup.findStatic(UpCalls.class, "request",
                MethodType.methodType(int.class, int.class, int.class, long.class, int.class, int.class, int.class));
            MethodHandle message = lookup.findStatic(UpCalls.class, "message",
                MethodType.methodType(int.class, int.class, int.class, long.class, int.class, int.class, int.class, int.class));
            Native.upCalls(function(request), function(message));
        } catch (ReflectiveOperationException | RuntimeException | LinkageError unavailable) {
            // Then they stay with JNI. Nobody has to know: it is as right, and this JVM may forbid the other on purpose.
        } catch (OutOfMemoryError noMemory) {
            untilFunctions = WARM_UP;
        }
    }

    /** Throws an OutOfMemoryError if the first calls of a function, where it would end the JVM, may. */
    private static void checkMemory() {
        if (new byte[RESERVE].length != RESERVE) {
            throw new AssertionError();
        }
    }

    /** {@code Linker.nativeLinker().upcallStub(target, FunctionDescriptor.of(…), Arena.global()).address()} */
    private static long function(MethodHandle target) throws ReflectiveOperationException {
        Class<?> linkers = ForeignApi.type("Linker");
        Class<?> options = ForeignApi.type("Linker$Option");
        Class<?> layouts = ForeignApi.type("MemoryLayout");
        Class<?> descriptors = ForeignApi.type("FunctionDescriptor");
        Class<?> arenas = ForeignApi.type("Arena");
        Class<?>[] parameters = target.type().parameterArray();
        Object arguments = Array.newInstance(layouts, parameters.length);
        for (int i = 0; i < parameters.length; i++) {
            Array.set(arguments, i, layout(parameters[i]));
        }
        Object descriptor = descriptors.getMethod("of", layouts, arguments.getClass())
            .invoke(null, layout(target.type().returnType()), arguments);
        Object none = Array.newInstance(options, 0);
        Method stub = linkers.getMethod("upcallStub", MethodHandle.class, descriptors, arenas, none.getClass());
        Object segment = stub.invoke(linkers.getMethod("nativeLinker").invoke(null), target, descriptor,
            arenas.getMethod("global").invoke(null), none);
        return (long) ForeignApi.type("MemorySegment").getMethod("address").invoke(segment);
    }

    private static Object layout(Class<?> primitive) throws ReflectiveOperationException {
        return ForeignApi.type("ValueLayout").getField(primitive == long.class ? "JAVA_LONG" : "JAVA_INT").get(null);
    }

    /** {@link Worker#request}, without a body of its own. */
    static int request(int worker, int application, long connection, int exchange, int length, int route) {
        try {
            return worker == TRIAL ? 0 : WORKERS.get(worker).request(APPLICATIONS.get(application), connection, exchange, length, route, null);
        } catch (Throwable failure) {
            return thrown(failure);
        }
    }

    /** {@link Worker#message}, without a payload of its own. */
    static int message(int worker, int application, long connection, int exchange, int kind, int length, int route) {
        try {
            return worker == TRIAL ? 0 : WORKERS.get(worker).message(APPLICATIONS.get(application), connection, exchange, kind, length, route, null);
        } catch (Throwable failure) {
            return thrown(failure);
        }
    }

    /** Prints what JNI's ExceptionDescribe would print. */
    private static int thrown(Throwable failure) {
        try {
            failure.printStackTrace();
        } catch (Throwable another) {
            // No memory, or no stack, to say so.
        }
        return THROWN;
    }
}
