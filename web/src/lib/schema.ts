// What the daemon's OpenAPI document says of the fields of a form.
import { api } from "./api";

/** One property of a schema, as far as forms want to know. */
export interface Property {
  type?: string | string[];
  description?: string;
  enum?: string[];
  minimum?: number;
  maximum?: number;
}

interface Document {
  components?: { schemas?: Record<string, { properties?: Record<string, Property> }> };
}

/** The properties of a schema; the browser keeps the document by its ETag. */
export async function properties(schema: string): Promise<Record<string, Property>> {
  const document = await api.get<Document>("/api/openapi.json");
  return document.components?.schemas?.[schema]?.properties ?? {};
}
