package portvakt.gravitee;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.gravitee.gateway.api.service.ApiKey;
import io.gravitee.gateway.api.service.ApiKeyService;
import io.gravitee.gateway.api.service.Subscription;
import io.gravitee.gateway.api.service.SubscriptionService;
import io.gravitee.gateway.handlers.api.manager.ApiManager;
import io.gravitee.gateway.reactor.ReactableApi;
import io.gravitee.gateway.standalone.GatewayContainer;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Date;
import java.util.Map;
import org.springframework.context.ApplicationContext;

/**
 * Gravitee's own gateway. Its synchronizer alone is missing, which reads from the management database what is to run and is not on Maven
 * Central: here a line of JSON on standard input tells the same services.
 *
 * <pre>
 * {"deploy":{…}}                                           a definition as the gateway takes it, with its id
 * {"undeploy":"api's id"}
 * {"subscribe":{"api":"…","plan":"…","key":"…"}}           a consumer's accepted subscription, and its API key
 * </pre>
 *
 * Each line is answered by one on standard output, {@code {}} or {@code {"error":"…"}}; the first says that the gateway has started. The
 * log is on standard error. The gateway ends with its standard input, so it never outlives who started it.
 */
public final class Gateway {

    private final ApplicationContext context;
    private final ObjectMapper mapper;
    private long deployments = 0;

    private Gateway(ApplicationContext context) {
        this.context = context;
        this.mapper = context.getBean(ObjectMapper.class);
    }

    public static void main(String[] arguments) throws Exception {
        PrintStream answers = System.out;
        System.setOut(System.err); // whatever a library prints, standard output has answers only

        GatewayContainer container = new GatewayContainer();
        Gateway gateway;
        try {
            container.start();
            gateway = new Gateway(container.applicationContext());
        } catch (Exception exception) {
            exception.printStackTrace();
            System.exit(1); // or threads that it has started would go on, and whoever waits for the answer would wait for ever
            return;
        }
        answers.println("{}");

        BufferedReader commands = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = commands.readLine()) != null; ) {
            answers.println(gateway.mapper.writeValueAsString(gateway.answer(line)));
        }
        container.stop();
        System.exit(0); // the container leaves threads behind
    }

    private Map<String, String> answer(String line) {
        try {
            JsonNode command = mapper.readTree(line);
            if (command.has("deploy")) {
                deploy(command.get("deploy"));
            } else if (command.has("undeploy")) {
                context.getBean(ApiManager.class).unregister(command.get("undeploy").asText());
            } else if (command.has("subscribe")) {
                subscribe(command.get("subscribe"));
            } else {
                return Map.of("error", "unknown command " + line);
            }
            return Map.of();
        } catch (Exception exception) {
            exception.printStackTrace();
            return Map.of("error", exception.toString());
        }
    }

    /** What the synchronizer does when an API was deployed in the console. */
    private void deploy(JsonNode definition) throws Exception {
        ReactableApi<?> api = definition.has("gravitee")
            ? new io.gravitee.gateway.handlers.api.definition.Api(
                mapper.treeToValue(definition, io.gravitee.definition.model.Api.class)
            )
            : new io.gravitee.gateway.reactive.handlers.api.v4.Api(
                mapper.treeToValue(definition, io.gravitee.definition.model.v4.Api.class)
            );
        deployments++;
        api.setEnabled(true);
        api.setDeployedAt(new Date(System.currentTimeMillis() + deployments)); // later than the one before, or it is not taken
        api.setRevision(Long.toString(deployments));
        api.setEnvironmentId("DEFAULT");
        api.setOrganizationId("DEFAULT");
        if (!context.getBean(ApiManager.class).register(api)) {
            throw new IllegalStateException("the gateway did not take the definition; its log says why");
        }
    }

    /** What the synchronizer does when a subscription was accepted in the console. */
    private void subscribe(JsonNode command) {
        String api = command.get("api").asText();
        String plan = command.get("plan").asText();
        Subscription subscription = new Subscription();
        subscription.setId("subscription-" + plan);
        subscription.setApi(api);
        subscription.setPlan(plan);
        subscription.setApplication("consumer");
        subscription.setStatus("ACCEPTED");
        context.getBean(SubscriptionService.class).register(subscription);
        context
            .getBean(ApiKeyService.class)
            .register(
                ApiKey.builder()
                    .id("key-" + plan)
                    .api(api)
                    .plan(plan)
                    .application("consumer")
                    .subscription(subscription.getId())
                    .key(command.get("key").asText())
                    .active(true)
                    .build()
            );
    }
}
